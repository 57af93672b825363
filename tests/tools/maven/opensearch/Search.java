import org.codelibs.opensearch.runner.OpenSearchRunner;

/** OpenSearch of one node on this machine: java -cp 'JARS/*' Search.java FOLDER PORT */
public class Search {
    public static void main(String[] arguments) throws InterruptedException {
        OpenSearchRunner runner = new OpenSearchRunner();
        runner.onBuild((number, settings) -> {
            settings.put("http.port", arguments[1]);
            // The disk is the machine's, and how full it is no concern of a test: a full one takes no index.
            settings.put("cluster.routing.allocation.disk.threshold_enabled", "false");
        });
        runner.build(OpenSearchRunner.newConfigs().basePath(arguments[0]).numOfNode(1).clusterName("atoll-test"));
        Thread.currentThread().join();
    }
}
