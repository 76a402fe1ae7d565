import io.micrometer.core.instrument.binder.kafka.KafkaClientMetrics;
import io.micrometer.core.instrument.config.MeterFilter;
import io.micrometer.prometheusmetrics.PrometheusConfig;
import io.micrometer.prometheusmetrics.PrometheusMeterRegistry;
import java.lang.management.ManagementFactory;
import java.lang.management.ThreadMXBean;
import java.time.Duration;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.Executors;
import java.util.concurrent.ScheduledExecutorService;
import java.util.stream.Stream;
import org.apache.kafka.clients.consumer.CloseOptions;
import org.apache.kafka.clients.consumer.ConsumerRecords;
import org.apache.kafka.clients.consumer.CooperativeStickyAssignor;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.consumer.RangeAssignor;
import org.apache.kafka.clients.consumer.RoundRobinAssignor;
import org.apache.kafka.clients.consumer.StickyAssignor;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.errors.WakeupException;
import org.apache.kafka.common.serialization.ByteArrayDeserializer;

/** A pod: a consumer in each of its groups, with Micrometer's metrics and a CPU time of its own. */
final class Pod {
    /** The offset of the record that nobody gets past. */
    static final Map<TopicPartition, Long> POISON = new ConcurrentHashMap<>();

    private static final ThreadMXBean THREADS = ManagementFactory.getThreadMXBean();
    /** One thread refreshes the meters of all pods. */
    private static final ScheduledExecutorService REFRESHER = Executors.newScheduledThreadPool(2, work -> {
        Thread thread = new Thread(work);
        thread.setDaemon(true);
        return thread;
    });
    /** What the presets read of a Java client, as Micrometer names it; the rest would cost more than the work. */
    private static final Set<String> READ = Set.of(
        "kafka.consumer.fetch.manager.records.lag", "kafka.consumer.fetch.manager.records.lead",
        "kafka.consumer.fetch.manager.records.consumed.total", "kafka.consumer.coordinator.assigned.partitions");

    /** The assignors of the classic protocol. */
    private static final Map<String, Class<?>> ASSIGNORS = Map.of(
        "range", RangeAssignor.class, "roundrobin", RoundRobinAssignor.class, "sticky", StickyAssignor.class,
        "cooperative-sticky", CooperativeStickyAssignor.class);

    /** CPU per message, in microseconds. */
    volatile double cost;
    private final String namespace;
    private final String name;
    private final List<Worker> workers = new ArrayList<>();
    private final PrometheusMeterRegistry registry = new PrometheusMeterRegistry(PrometheusConfig.DEFAULT);

    Pod(String broker, Map<String, String> settings) {
        namespace = settings.get("namespace");
        name = settings.get("name");
        cost = Double.parseDouble(settings.get("cost"));
        registry.config().meterFilter(MeterFilter.denyUnless(meter -> READ.contains(meter.getName())));
        FromAddress.ADDRESS.set(settings.get("ip"));
        for (String group : settings.get("groups").split(",")) {
            workers.add(new Worker(broker, group, settings.get("topics"), settings.get("assignor")));
        }
        FromAddress.ADDRESS.remove();
        workers.forEach(Thread::start);
    }

    boolean isIn(String other) {
        return namespace.equals(other);
    }

    Stream<String> groups() {
        return workers.stream().map(worker -> worker.group);
    }

    /** Leaves off fetching a partition, or all of them, as consumers do after trouble with a broker. */
    void stick(TopicPartition partition) {
        for (Worker worker : workers) {
            worker.sticksToAll |= partition == null;
            if (partition != null) {
                worker.stuck.add(partition);
            }
        }
    }

    void close() throws InterruptedException {
        for (Worker worker : workers) {
            worker.isClosing = true;
            worker.consumer.wakeup();
        }
        for (Worker worker : workers) {
            worker.join(20_000);
        }
        registry.close();
    }

    void tell(StringBuilder state) {
        for (Worker worker : workers) {
            worker.owned.forEach(at -> state.append(String.join(" ", name, worker.group, at.topic(),
                Integer.toString(at.partition()), worker.read.getOrDefault(at, 0L).toString())).append('\n'));
        }
    }

    void scrape(StringBuilder out) {
        String pod = "namespace=\"" + namespace + "\",pod=\"" + name + "\"";
        for (String line : registry.scrape().split("\n")) {
            int labels = line.indexOf('{') + 1;
            if (labels > 0 && !line.startsWith("#")) {
                out.append(line, 0, labels).append(pod).append(",job=\"consumers\",").append(line.substring(labels)).append('\n');
            }
        }
        String container = "{" + pod + ",container=\"app\",image=\"consumer:1\",job=\"kubelet\"} ";
        long nanos = workers.stream().mapToLong(worker -> worker.cpuNanos).sum();
        out.append("container_cpu_usage_seconds_total").append(container).append(nanos / 1e9).append('\n');
        out.append("container_memory_working_set_bytes").append(container).append(200_000_000).append('\n');
    }

    private final class Worker extends Thread {
        final String group;
        final KafkaConsumer<byte[], byte[]> consumer;
        final Set<TopicPartition> stuck = ConcurrentHashMap.newKeySet();
        final Map<TopicPartition, Long> read = new ConcurrentHashMap<>();
        volatile Set<TopicPartition> owned = Set.of();
        volatile boolean sticksToAll;
        volatile boolean isClosing;
        volatile long cpuNanos;
        private final String topics;
        private final KafkaClientMetrics meters;

        Worker(String broker, String group, String topics, String assignor) {
            setDaemon(true);
            this.group = group;
            this.topics = topics;
            Map<String, Object> settings = new HashMap<>(Map.of(
                "bootstrap.servers", broker, "group.id", group, "client.id", "consumer-" + group + "-1",
                "auto.offset.reset", "earliest", "auto.commit.interval.ms", "1000",
                // A fetch a second, so that a hundred consumers need little of a machine.
                "fetch.max.wait.ms", "1000", "fetch.min.bytes", "100000"));
            switch (assignor) {
                case "uniform" -> settings.put("group.protocol", "consumer");
                case "range-of-brokers" ->
                    settings.putAll(Map.of("group.protocol", "consumer", "group.remote.assignor", "range"));
                default -> settings.put("partition.assignment.strategy", ASSIGNORS.get(assignor).getName());
            }
            consumer = new KafkaConsumer<>(settings, new ByteArrayDeserializer(), new ByteArrayDeserializer());
            meters = new KafkaClientMetrics(consumer, List.of(), REFRESHER, Duration.ofSeconds(2));
            meters.bindTo(registry);
        }

        @Override
        public void run() {
            consumer.subscribe(List.of(topics.split(",")));
            try {
                while (!isClosing) {
                    ConsumerRecords<byte[], byte[]> records = consumer.poll(Duration.ofSeconds(1));
                    // What polling costs is left out: it is not small beside a few messages a second.
                    long before = THREADS.getCurrentThreadCpuTime();
                    work(records);
                    cpuNanos += THREADS.getCurrentThreadCpuTime() - before;
                }
            } catch (WakeupException closing) {
                // The loop ends here.
            }
            meters.close();
            consumer.close(CloseOptions.timeout(Duration.ofSeconds(5)));
        }

        private void work(ConsumerRecords<byte[], byte[]> records) {
            owned = Set.copyOf(consumer.assignment());
            consumer.pause(owned.stream().filter(at -> sticksToAll || stuck.contains(at)).toList());
            for (TopicPartition at : records.partitions()) {
                Long poisoned = POISON.get(at);
                // What is committed is the position.
                if (poisoned != null && consumer.position(at) > poisoned) {
                    consumer.seek(at, poisoned);
                }
                read.merge(at, (long) records.records(at).size(), Long::sum);
            }
            burn((long) (records.count() * cost * 1000));
        }

        private static void burn(long nanos) {
            long until = THREADS.getCurrentThreadCpuTime() + nanos;
            while (THREADS.getCurrentThreadCpuTime() < until) {
                Thread.onSpinWait();
            }
        }
    }
}
