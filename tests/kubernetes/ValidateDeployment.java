import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.io.BufferedReader;
import java.io.File;
import java.io.InputStreamReader;
import java.nio.charset.StandardCharsets;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import org.apache.flink.client.deployment.ClusterSpecification;
import org.apache.flink.configuration.BlobServerOptions;
import org.apache.flink.configuration.ConfigOption;
import org.apache.flink.configuration.Configuration;
import org.apache.flink.configuration.HighAvailabilityOptions;
import org.apache.flink.configuration.JobManagerOptions;
import org.apache.flink.configuration.TaskManagerOptions;
import org.apache.flink.kubernetes.KubernetesClusterClientFactory;
import org.apache.flink.kubernetes.configuration.KubernetesConfigOptions;
import org.apache.flink.kubernetes.configuration.KubernetesConfigOptionsInternal;
import org.apache.flink.kubernetes.entrypoint.KubernetesApplicationClusterEntrypoint;
import org.apache.flink.kubernetes.entrypoint.KubernetesWorkerResourceSpecFactory;
import org.apache.flink.kubernetes.kubeclient.FlinkKubeClient;
import org.apache.flink.kubernetes.kubeclient.FlinkKubeClientFactory;
import org.apache.flink.kubernetes.kubeclient.FlinkPod;
import org.apache.flink.kubernetes.kubeclient.factory.KubernetesJobManagerFactory;
import org.apache.flink.kubernetes.kubeclient.factory.KubernetesTaskManagerFactory;
import org.apache.flink.kubernetes.kubeclient.parameters.KubernetesJobManagerParameters;
import org.apache.flink.kubernetes.kubeclient.parameters.KubernetesTaskManagerParameters;
import org.apache.flink.kubernetes.operator.api.FlinkDeployment;
import org.apache.flink.kubernetes.operator.config.FlinkConfigManager;
import org.apache.flink.kubernetes.operator.validation.DefaultValidator;
import org.apache.flink.kubernetes.shaded.io.fabric8.kubernetes.client.utils.Serialization;
import org.apache.flink.kubernetes.utils.Constants;
import org.apache.flink.kubernetes.utils.KubernetesUtils;
import org.apache.flink.runtime.clusterframework.ContaineredTaskManagerParameters;
import org.apache.flink.runtime.clusterframework.TaskExecutorProcessUtils;
import org.apache.flink.runtime.jobmanager.HighAvailabilityMode;

/**
 * Asks the operator's own code about FlinkDeployments: one as JSON a line comes in, one line of JSON goes out.
 *
 * <p>It says what the operator's validator finds, as "error", and where it finds nothing, what the operator and Flink make
 * of the deployment: "jobManager", a Deployment, and "taskManager", a Pod. No cluster is contacted.
 */
public final class ValidateDeployment {
    private static final ObjectMapper JSON = new ObjectMapper();
    private static final String NAMESPACE = "default";

    /** Without defaults of the operator: a deployment has to stand by itself. */
    private final FlinkConfigManager configs = new FlinkConfigManager(new Configuration());

    private final DefaultValidator validator = new DefaultValidator(configs);

    public static void main(String[] arguments) throws Exception {
        var program = new ValidateDeployment();
        var lines = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
        for (String line = lines.readLine(); line != null; line = lines.readLine()) {
            System.out.println(JSON.writeValueAsString(program.answer(line)));
        }
        System.exit(0); // the operator's configuration has a thread of its own, which would go on
    }

    private ObjectNode answer(String line) throws Exception {
        ObjectNode answer = JSON.createObjectNode();
        FlinkDeployment deployment = JSON.readValue(line, FlinkDeployment.class);
        deployment.getMetadata().setNamespace(NAMESPACE);
        Optional<String> error = validator.validateDeployment(deployment);
        answer.put("error", error.orElse(null));
        if (error.isEmpty()) {
            Configuration config = configs.getDeployConfig(deployment.getMetadata(), deployment.getSpec());
            fixPorts(config);
            try (FlinkKubeClient client = FlinkKubeClientFactory.getInstance().fromConfiguration(config, "test")) {
                answer.set("jobManager", jobManager(config, client));
                answer.set("taskManager", taskManager(config, client));
            }
        }
        return answer;
    }

    /** What Flink's KubernetesClusterDescriptor sets before it deploys. */
    private static void fixPorts(Configuration config) {
        config.set(
                KubernetesConfigOptionsInternal.ENTRY_POINT_CLASS, KubernetesApplicationClusterEntrypoint.class.getName());
        KubernetesUtils.checkAndUpdatePortConfigOption(config, BlobServerOptions.PORT, Constants.BLOB_SERVER_PORT);
        KubernetesUtils.checkAndUpdatePortConfigOption(
                config, TaskManagerOptions.RPC_PORT, Constants.TASK_MANAGER_RPC_PORT);
        if (HighAvailabilityMode.isHighAvailabilityModeActivated(config)) {
            KubernetesUtils.checkAndUpdatePortConfigOption(
                    config, HighAvailabilityOptions.HA_JOB_MANAGER_PORT_RANGE, config.get(JobManagerOptions.PORT));
        }
    }

    private static JsonNode jobManager(Configuration config, FlinkKubeClient client) throws Exception {
        ClusterSpecification cluster = new KubernetesClusterClientFactory().getClusterSpecification(config);
        var parameters = new KubernetesJobManagerParameters(config, cluster);
        FlinkPod template = template(config, client, KubernetesConfigOptions.JOB_MANAGER_POD_TEMPLATE);
        var specification = KubernetesJobManagerFactory.buildKubernetesJobManagerSpecification(template, parameters);
        return JSON.readTree(Serialization.asJson(specification.getDeployment()));
    }

    private static JsonNode taskManager(Configuration config, FlinkKubeClient client) throws Exception {
        var resources = KubernetesWorkerResourceSpecFactory.INSTANCE.createDefaultWorkerResourceSpec(config);
        var process = TaskExecutorProcessUtils.processSpecFromWorkerResourceSpec(config, resources);
        var parameters =
                new KubernetesTaskManagerParameters(
                        config,
                        config.get(KubernetesConfigOptions.CLUSTER_ID) + "-taskmanager-1-1",
                        "",
                        "",
                        ContaineredTaskManagerParameters.create(config, process),
                        Map.of(),
                        Set.of());
        FlinkPod template = template(config, client, KubernetesConfigOptions.TASK_MANAGER_POD_TEMPLATE);
        var pod = KubernetesTaskManagerFactory.buildTaskManagerKubernetesPod(template, parameters);
        return JSON.readTree(Serialization.asJson(pod.getInternalResource()));
    }

    private static FlinkPod template(Configuration config, FlinkKubeClient client, ConfigOption<String> option) {
        return KubernetesUtils.loadPodFromTemplateFile(
                client, new File(config.get(option)), Constants.MAIN_CONTAINER_NAME);
    }
}
