import java.util.HashMap;
import java.util.Map;
import java.util.Random;
import java.util.concurrent.ConcurrentHashMap;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.serialization.ByteArraySerializer;

/** Writes to each partition at a steady rate, or one that wanders around it. */
final class Producer extends Thread {
    /** Messages per second of each partition, by topic. */
    final Map<String, double[]> rates = new ConcurrentHashMap<>();
    /** How far the rates of a topic wander: the standard deviation of their logarithm. */
    final Map<String, Double> noise = new ConcurrentHashMap<>();
    /** The time after which a rate has forgotten where it was. */
    private static final double MEMORY_SECONDS = 10;
    private final Random random = new Random(20261129);
    private final KafkaProducer<byte[], byte[]> producer;

    Producer(String broker) {
        setDaemon(true);
        Map<String, Object> settings = Map.of("bootstrap.servers", broker, "acks", "1", "linger.ms", "20");
        producer = new KafkaProducer<>(settings, new ByteArraySerializer(), new ByteArraySerializer());
    }

    /** Writes what these rates write from so many seconds ago to so many seconds ago. */
    void past(String topic, double[] ofTopic, long fromSeconds, long toSeconds) {
        long now = System.currentTimeMillis();
        for (int partition = 0; partition < ofTopic.length; partition++) {
            long count = (long) (ofTopic[partition] * (fromSeconds - toSeconds));
            for (long message = 0; message < count; message++) {
                long ago = fromSeconds * 1000 - (long) (message * 1000 / ofTopic[partition]);
                producer.send(new ProducerRecord<>(topic, partition, now - ago, null, new byte[32]));
            }
        }
        producer.flush();
    }

    @Override
    public void run() {
        byte[] message = new byte[32];
        Map<String, double[]> owed = new HashMap<>();
        Map<String, double[]> wander = new HashMap<>();
        long last = System.nanoTime();
        while (true) {
            try {
                Thread.sleep(100);
            } catch (InterruptedException stopped) {
                return;
            }
            long now = System.nanoTime();
            double seconds = (now - last) / 1e9;
            last = now;
            rates.forEach((topic, ofTopic) -> {
                double[] owedHere = owed.computeIfAbsent(topic, unknown -> new double[ofTopic.length]);
                double[] wanderHere = wander.computeIfAbsent(topic, unknown -> new double[ofTopic.length]);
                double sigma = noise.getOrDefault(topic, 0.0);
                double keep = Math.exp(-seconds / MEMORY_SECONDS);
                for (int partition = 0; partition < ofTopic.length; partition++) {
                    double step = Math.sqrt(1 - keep * keep) * sigma * random.nextGaussian();
                    wanderHere[partition] = keep * wanderHere[partition] + step;
                    // A log-normal factor of mean 1.
                    double factor = Math.exp(wanderHere[partition] - sigma * sigma / 2);
                    owedHere[partition] += ofTopic[partition] * factor * seconds;
                    for (; owedHere[partition] >= 1; owedHere[partition]--) {
                        producer.send(new ProducerRecord<>(topic, partition, null, message));
                    }
                }
            });
        }
    }
}
