import java.io.BufferedReader;
import java.io.File;
import java.io.InputStreamReader;
import java.io.PrintStream;
import java.net.ServerSocket;
import java.net.Socket;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.Comparator;
import java.util.List;
import java.util.Map;
import java.util.Properties;
import java.util.stream.Stream;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.serialization.StringDeserializer;

/**
 * One real Kafka broker in one process (KRaft, its own controller): loopback only, its data in the folder given, until
 * standard input ends.
 *
 * <p>The input is a pipe that the test holds, so the broker ends with the test, however that ends; the folder goes with
 * it. The second argument is the port; 0 takes a free one. The port in use is printed once the broker answers. A line
 * {@code read TOPIC FILE} has Kafka's own consumer write all records of the topic to the file, one a line: partition,
 * key and value with tabs between; then {@code read} is printed.
 */
public final class KafkaForTests {
    public static void main(String[] arguments) throws Exception {
        Path home = Path.of(arguments[0]);
        int port = arguments[1].equals("0") ? freePort() : Integer.parseInt(arguments[1]);
        int controller = freePort();
        Files.createDirectories(home);
        Path settings = home.resolve("server.properties");
        Files.write(settings, List.of(
            "process.roles=broker,controller",
            "node.id=1",
            "listeners=PLAINTEXT://127.0.0.1:" + port + ",CONTROLLER://127.0.0.1:" + controller,
            "advertised.listeners=PLAINTEXT://127.0.0.1:" + port,
            "controller.listener.names=CONTROLLER",
            "controller.quorum.voters=1@127.0.0.1:" + controller,
            "log.dirs=" + home.resolve("data"),
            "default.replication.factor=1",
            "offsets.topic.replication.factor=1",
            "auto.create.topics.enable=false",
            // A request of this size and more is too large.
            "message.max.bytes=1048588"));
        PrintStream ours = System.out;
        // What the broker says goes where errors go.
        System.setOut(System.err);
        String[] format = {
            "format", "--ignore-formatted", "--cluster-id", "bzFvZ3J0LXRlc3RzLWlk", "--config", settings.toString()
        };
        kafka.tools.StorageTool.execute(format, System.err);
        Thread broker = new Thread(() -> kafka.Kafka.main(new String[] {settings.toString()}));
        broker.setDaemon(true);
        broker.start();
        while (!answers(port)) {
            Thread.sleep(50);
        }
        ours.println("port " + port);
        BufferedReader input = new BufferedReader(new InputStreamReader(System.in));
        for (String line = input.readLine(); line != null; line = input.readLine()) {
            String[] words = line.split(" ");
            if (words[0].equals("read")) {
                read(port, words[1], Path.of(words[2]));
                ours.println("read");
            }
        }
        try (Stream<Path> files = Files.walk(home)) {
            files.sorted(Comparator.reverseOrder()).map(Path::toFile).forEach(File::delete);
        }
        Runtime.getRuntime().halt(0);
    }

    private static void read(int port, String topic, Path to) throws Exception {
        Properties settings = new Properties();
        settings.put("bootstrap.servers", "127.0.0.1:" + port);
        StringDeserializer text = new StringDeserializer();
        try (KafkaConsumer<String, String> consumer = new KafkaConsumer<>(settings, text, text);
                PrintStream file = new PrintStream(to.toFile(), "UTF-8")) {
            List<TopicPartition> partitions = consumer.partitionsFor(topic).stream()
                .map(partition -> new TopicPartition(topic, partition.partition()))
                .toList();
            consumer.assign(partitions);
            consumer.seekToBeginning(partitions);
            Map<TopicPartition, Long> ends = consumer.endOffsets(partitions);
            while (ends.entrySet().stream().anyMatch(end -> consumer.position(end.getKey()) < end.getValue())) {
                for (ConsumerRecord<String, String> record : consumer.poll(Duration.ofMillis(100))) {
                    file.println(record.partition() + "\t" + record.key() + "\t" + record.value());
                }
            }
        }
    }

    private static boolean answers(int port) {
        try (Socket socket = new Socket("127.0.0.1", port)) {
            return true;
        } catch (java.io.IOException e) {
            return false;
        }
    }

    private static int freePort() throws java.io.IOException {
        try (ServerSocket socket = new ServerSocket(0)) {
            return socket.getLocalPort();
        }
    }
}
