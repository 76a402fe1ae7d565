import java.time.Duration;
import java.util.List;
import java.util.Map;
import org.apache.kafka.clients.consumer.KafkaShareConsumer;
import org.apache.kafka.common.serialization.ByteArrayDeserializer;

/** A member of a share group, which reads for as long as the process lives. */
final class Share {
    static void start(String broker, String group, String topic) {
        KafkaShareConsumer<byte[], byte[]> consumer = new KafkaShareConsumer<>(
            Map.of("bootstrap.servers", broker, "group.id", group), new ByteArrayDeserializer(), new ByteArrayDeserializer());
        Thread reader = new Thread(() -> {
            consumer.subscribe(List.of(topic));
            while (true) {
                consumer.poll(Duration.ofSeconds(1));
            }
        });
        reader.setDaemon(true);
        reader.start();
    }
}
