import org.codelibs.opensearch.runner.OpenSearchRunner;

/** OpenSearch of one node on this machine: java -cp 'JARS/*' Search.java FOLDER PORT */
public class Search {
    public static void main(String[] arguments) throws InterruptedException {
        OpenSearchRunner runner = new OpenSearchRunner();
        runner.onBuild((number, settings) -> settings.put("http.port", arguments[1]));
        runner.build(OpenSearchRunner.newConfigs().basePath(arguments[0]).numOfNode(1).clusterName("atoll-test"));
        Thread.currentThread().join();
    }
}
