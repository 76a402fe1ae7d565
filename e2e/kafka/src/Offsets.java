import java.util.HashMap;
import java.util.List;
import java.util.Map;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.ListConsumerGroupOffsetsSpec;
import org.apache.kafka.clients.admin.OffsetSpec;
import org.apache.kafka.clients.consumer.OffsetAndMetadata;
import org.apache.kafka.common.TopicPartition;

/** Offsets by the names of kafka_exporter. */
final class Offsets {
    static void scrape(Admin admin, List<String> groups, StringBuilder out) throws Exception {
        Map<String, ListConsumerGroupOffsetsSpec> asked = new HashMap<>();
        groups.forEach(group -> asked.put(group, new ListConsumerGroupOffsetsSpec()));
        Map<String, Map<TopicPartition, OffsetAndMetadata>> committed = admin.listConsumerGroupOffsets(asked).all().get();
        Map<TopicPartition, OffsetSpec> partitions = new HashMap<>();
        committed.values().forEach(of -> of.keySet().forEach(at -> partitions.put(at, OffsetSpec.latest())));
        Map<TopicPartition, Long> ends = new HashMap<>();
        admin.listOffsets(partitions).all().get().forEach((at, end) -> ends.put(at, end.offset()));
        ends.forEach((at, end) -> line(out, "kafka_topic_partition_current_offset", labels(at), end));
        committed.forEach((group, offsets) -> offsets.forEach((at, offset) -> {
            String labels = "consumergroup=\"" + group + "\"," + labels(at);
            line(out, "kafka_consumergroup_current_offset", labels, offset.offset());
            line(out, "kafka_consumergroup_lag", labels, ends.get(at) - offset.offset());
        }));
    }

    /** What waits in each partition of which the group has committed an offset. */
    static String lags(Admin admin, String group) throws Exception {
        Map<TopicPartition, OffsetAndMetadata> committed =
            admin.listConsumerGroupOffsets(group).partitionsToOffsetAndMetadata().get();
        Map<TopicPartition, OffsetSpec> ends = new HashMap<>();
        committed.keySet().forEach(at -> ends.put(at, OffsetSpec.latest()));
        StringBuilder out = new StringBuilder();
        admin.listOffsets(ends).all().get().forEach((at, end) -> out.append(at.topic()).append(' ').append(at.partition())
            .append(' ').append(end.offset() - committed.get(at).offset()).append('\n'));
        return out.toString();
    }

    private static String labels(TopicPartition at) {
        return "topic=\"" + at.topic() + "\",partition=\"" + at.partition() + "\"";
    }

    private static void line(StringBuilder out, String name, String labels, long value) {
        out.append(name).append('{').append(labels).append(",job=\"kafka-exporter\"} ").append(value).append('\n');
    }
}
