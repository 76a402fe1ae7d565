import java.io.IOException;
import java.net.InetSocketAddress;
import java.net.ProtocolFamily;
import java.nio.channels.DatagramChannel;
import java.nio.channels.Pipe;
import java.nio.channels.ServerSocketChannel;
import java.nio.channels.SocketChannel;
import java.nio.channels.spi.AbstractSelector;
import java.nio.channels.spi.SelectorProvider;

/**
 * Lets the clients of a pod connect from the address of that pod, so that the broker sees each pod's own.
 * Chosen by -Djava.nio.channels.spi.SelectorProvider; threads inherit the address from the one that starts them.
 */
public final class FromAddress extends SelectorProvider {
    static final InheritableThreadLocal<String> ADDRESS = new InheritableThreadLocal<>();
    private final SelectorProvider system = sun.nio.ch.DefaultSelectorProvider.get();

    @Override
    public SocketChannel openSocketChannel() throws IOException {
        SocketChannel channel = system.openSocketChannel();
        String address = ADDRESS.get();
        if (address != null) {
            channel.bind(new InetSocketAddress(address, 0));
        }
        return channel;
    }

    @Override
    public DatagramChannel openDatagramChannel() throws IOException {
        return system.openDatagramChannel();
    }

    @Override
    public DatagramChannel openDatagramChannel(ProtocolFamily family) throws IOException {
        return system.openDatagramChannel(family);
    }

    @Override
    public Pipe openPipe() throws IOException {
        return system.openPipe();
    }

    @Override
    public AbstractSelector openSelector() throws IOException {
        return system.openSelector();
    }

    @Override
    public ServerSocketChannel openServerSocketChannel() throws IOException {
        return system.openServerSocketChannel();
    }
}
