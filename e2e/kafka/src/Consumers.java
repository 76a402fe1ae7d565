import com.sun.net.httpserver.HttpExchange;
import com.sun.net.httpserver.HttpServer;
import java.io.IOException;
import java.io.OutputStream;
import java.net.InetSocketAddress;
import java.net.URLDecoder;
import java.nio.charset.StandardCharsets;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.ConcurrentSkipListMap;
import java.util.concurrent.Executors;
import java.util.stream.Stream;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.NewTopic;
import org.apache.kafka.clients.admin.OffsetSpec;
import org.apache.kafka.common.Node;
import org.apache.kafka.common.TopicPartition;

/**
 * The consumers of many pods in one process, and a producer, told by HTTP what to do. Parameters stand in
 * the query of the address.
 *
 * POST /topic?name&partitions&replicas   creates a topic
 * POST /load?topic&rates=1,2.5,...&noise messages per second of each partition from now on, and how far they
 *                                        wander: the standard deviation of their logarithm
 * POST /past?topic&rates&from&to         writes as many messages as this load writes in the time from so many seconds
 *                                        ago to so many seconds ago, with the times that they then have
 * POST /pod?namespace&name&ip&groups&topics&assignor&cost
 *                                        starts a consumer in each of the groups, which connects from the address; the
 *                                        cost of a message is in microseconds of CPU
 * DELETE /pod?namespace&name             closes them as a pod does that gets SIGTERM
 * DELETE /pods?namespace                 closes all of a namespace
 * POST /cost?namespace&name&cost         changes the cost of a message
 * POST /stuck?namespace&name[&topic&partition]
 *                                        the pod no longer fetches this partition, or any
 * POST /share?group&topic                starts a member of a share group
 * POST /user?name&password               lets a user sign in by SCRAM
 * POST /acl?user&kind&name               lets a user describe a group or a topic; DELETE takes that back
 * POST /poison?topic&partition           nobody gets past the record that comes next; answers its offset
 * GET  /metrics?namespace                what a scrape of pods, kubelet and kafka_exporter finds
 * GET  /lag?group                        a line each: topic, partition, messages that wait
 * GET  /coordinator?group                 address of the broker that coordinates the group
 * GET  /state?namespace                  a line each: pod, group, topic, partition, messages read
 */
public final class Consumers {
    private static final Map<String, Pod> PODS = new ConcurrentSkipListMap<>();
    private static String broker;
    private static Admin admin;
    private static Producer producer;

    public static void main(String[] arguments) throws IOException {
        broker = arguments[0];
        admin = Admin.create(Map.of("bootstrap.servers", broker));
        producer = new Producer(broker);
        producer.start();
        HttpServer server = HttpServer.create(new InetSocketAddress("127.0.0.1", Integer.parseInt(arguments[1])), 100);
        server.setExecutor(Executors.newFixedThreadPool(24));
        server.createContext("/", Consumers::answer);
        server.start();
    }

    private static void answer(HttpExchange exchange) throws IOException {
        int status = 200;
        String body;
        try {
            String asked = exchange.getRequestMethod() + " " + exchange.getRequestURI().getPath();
            body = perform(asked, parameters(exchange.getRequestURI().getRawQuery()));
        } catch (Exception error) {
            status = 500;
            body = error.toString();
        }
        byte[] bytes = body.getBytes(StandardCharsets.UTF_8);
        exchange.sendResponseHeaders(status, bytes.length == 0 ? -1 : bytes.length);
        try (OutputStream out = exchange.getResponseBody()) {
            out.write(bytes);
        }
    }

    private static Map<String, String> parameters(String query) {
        Map<String, String> parameters = new LinkedHashMap<>();
        for (String pair : query == null ? new String[0] : query.split("&")) {
            String[] parts = pair.split("=", 2);
            parameters.put(parts[0], URLDecoder.decode(parts[1], StandardCharsets.UTF_8));
        }
        return parameters;
    }

    private static String perform(String asked, Map<String, String> parameters) throws Exception {
        String name = parameters.get("namespace") + "/" + parameters.get("name");
        switch (asked) {
            case "POST /topic":
                int partitions = Integer.parseInt(parameters.get("partitions"));
                short replicas = Short.parseShort(parameters.get("replicas"));
                admin.createTopics(List.of(new NewTopic(parameters.get("name"), partitions, replicas))).all().get();
                return "";
            case "POST /load":
                producer.noise.put(parameters.get("topic"), Double.parseDouble(parameters.get("noise")));
                producer.rates.put(parameters.get("topic"), rates(parameters));
                return "";
            case "POST /past":
                producer.past(parameters.get("topic"), rates(parameters), Long.parseLong(parameters.get("from")),
                    Long.parseLong(parameters.get("to")));
                return "";
            case "POST /pod":
                PODS.put(name, new Pod(broker, parameters));
                return "";
            case "DELETE /pod":
                Pod pod = PODS.remove(name);
                if (pod != null) {
                    pod.close();
                }
                return "";
            case "DELETE /pods":
                for (Map.Entry<String, Pod> entry : PODS.entrySet()) {
                    if (entry.getValue().isIn(parameters.get("namespace"))) {
                        PODS.remove(entry.getKey());
                        entry.getValue().close();
                    }
                }
                return "";
            case "POST /cost":
                PODS.get(name).cost = Double.parseDouble(parameters.get("cost"));
                return "";
            case "POST /stuck":
                PODS.get(name).stick(partition(parameters));
                return "";
            case "POST /poison":
                TopicPartition poisoned = partition(parameters);
                long offset = admin.listOffsets(Map.of(poisoned, OffsetSpec.latest())).partitionResult(poisoned).get().offset();
                Pod.POISON.put(poisoned, offset);
                return Long.toString(offset);
            case "POST /share":
                Share.start(broker, parameters.get("group"), parameters.get("topic"));
                return "";
            case "POST /user":
                Access.user(admin, parameters);
                return "";
            case "POST /acl":
                Access.describe(admin, parameters, true);
                return "";
            case "DELETE /acl":
                Access.describe(admin, parameters, false);
                return "";
            case "GET /lag":
                return Offsets.lags(admin, parameters.get("group"));
            case "GET /coordinator":
                String group = parameters.get("group");
                Node node = admin.describeConsumerGroups(List.of(group)).describedGroups().get(group).get().coordinator();
                return node.host() + ":" + node.port();
            case "GET /metrics":
                return metrics(parameters.get("namespace"));
            case "GET /state":
                StringBuilder state = new StringBuilder();
                PODS.values().stream().filter(it -> it.isIn(parameters.get("namespace"))).forEach(it -> it.tell(state));
                return state.toString();
            default:
                throw new IllegalArgumentException(asked);
        }
    }

    private static double[] rates(Map<String, String> parameters) {
        return Stream.of(parameters.get("rates").split(",")).mapToDouble(Double::parseDouble).toArray();
    }

    private static TopicPartition partition(Map<String, String> parameters) {
        String topic = parameters.get("topic");
        return topic == null ? null : new TopicPartition(topic, Integer.parseInt(parameters.get("partition")));
    }

    private static String metrics(String namespace) throws Exception {
        StringBuilder out = new StringBuilder();
        List<Pod> pods = PODS.values().stream().filter(pod -> pod.isIn(namespace)).toList();
        pods.forEach(pod -> pod.scrape(out));
        Offsets.scrape(admin, pods.stream().flatMap(Pod::groups).distinct().toList(), out);
        return out.toString();
    }
}
