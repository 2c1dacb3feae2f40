import java.io.File;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Comparator;
import java.util.List;
import java.util.Map;
import java.util.stream.Stream;
import org.opensearch.common.settings.Settings;
import org.opensearch.env.Environment;
import org.opensearch.http.HttpServerTransport;
import org.opensearch.node.InternalSettingsPreparer;
import org.opensearch.node.Node;
import org.opensearch.painless.PainlessPlugin;
import org.opensearch.transport.Netty4Plugin;

/**
 * One real OpenSearch node in one process: loopback only, its data in the folder given, until standard input ends.
 *
 * <p>The input is a pipe that the test holds, so the node ends with the test, however that ends; the folder goes with
 * it. The second argument is the HTTP port; 0 takes a free one. The port in use is printed once the node answers.
 */
public final class OpenSearchForTests {
    private static final class TestNode extends Node {
        TestNode(Environment environment) {
            super(environment, List.of(Netty4Plugin.class, PainlessPlugin.class), false);
        }
    }

    public static void main(String[] arguments) throws Exception {
        Path home = Path.of(arguments[0]);
        Files.createDirectories(home.resolve("config"));
        Settings settings = Settings.builder()
            .put("path.home", home)
            .put("node.name", "test")
            .put("cluster.name", "ogrt-tests")
            .put("discovery.type", "single-node")
            .put("transport.type", Netty4Plugin.NETTY_TRANSPORT_NAME)
            .put("http.type", Netty4Plugin.NETTY_HTTP_TRANSPORT_NAME)
            .put("network.host", "127.0.0.1")
            .put("http.port", arguments[1])
            .put("transport.port", "0")
            // The disk of a test machine may be nearly full; an index would then be made read-only.
            .put("cluster.routing.allocation.disk.threshold_enabled", false)
            .put("node.processors", 2)
            .build();
        Environment environment = InternalSettingsPreparer.prepareEnvironment(settings, Map.of(), null, () -> "test");
        Node node = new TestNode(environment).start();
        HttpServerTransport http = node.injector().getInstance(HttpServerTransport.class);
        System.out.println("port " + http.boundAddress().publishAddress().getPort());
        while (System.in.read() >= 0) {
        }
        node.close();
        try (Stream<Path> files = Files.walk(home)) {
            files.sorted(Comparator.reverseOrder()).map(Path::toFile).forEach(File::delete);
        }
        Runtime.getRuntime().halt(0);
    }
}
