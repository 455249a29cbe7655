package rtls;

import java.lang.reflect.Field;
import java.util.Map;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.atomic.AtomicInteger;
import org.apache.beam.model.pipeline.v1.RunnerApi.ExecutableStagePayload;
import org.apache.beam.model.pipeline.v1.RunnerApi.StandardEnvironments;
import org.apache.beam.runners.flink.translation.wrappers.streaming.ExecutableStageDoFnOperator;
import org.apache.beam.sdk.options.PortablePipelineOptions;
import org.apache.beam.sdk.util.construction.BeamUrns;
import org.apache.beam.vendor.grpc.v1p69p0.com.google.protobuf.ByteString;
import org.apache.flink.api.dag.Transformation;
import org.apache.flink.streaming.api.environment.StreamExecutionEnvironment;
import org.apache.flink.streaming.api.operators.SimpleOperatorFactory;
import org.apache.flink.streaming.api.operators.StreamOperator;
import org.apache.flink.streaming.api.operators.StreamOperatorParameters;

/**
 * Which of the Python processes beside a TaskManager works for which task.
 *
 * <p>Beam deals tasks out to them as they come, of all stages together. So both tasks of the one stage that has most to do
 * may come to the same process, and the others are idle. Here the tasks of each stage are dealt out by themselves.
 *
 * <p>Tasks with the same environment share a process; so a process is made an environment of its own.
 */
final class StageWorkers<T> extends SimpleOperatorFactory<T> {
  private static final long serialVersionUID = 1L;

  /** Tasks of a stage so far, in this TaskManager; one that is started anew is counted anew. */
  private static final Map<Integer, AtomicInteger> TASKS = new ConcurrentHashMap<>();

  /** What makes environments different, and means nothing to anyone. */
  private static final String HINT = "rtls:resources:worker:v1";

  private final int stage;
  private final int processes;

  private StageWorkers(StreamOperator<T> operator, int stage, int processes) {
    super(operator);
    this.stage = stage;
    this.processes = processes;
  }

  /** Returns how many processes there are beside a TaskManager; from now on Beam knows of one for each environment. */
  static int takeOver(PortablePipelineOptions options) {
    int processes = options.getSdkWorkerParallelism();
    options.setSdkWorkerParallelism(1);
    return processes;
  }

  /** Deals out the tasks of all stages in Python. */
  static void deal(StreamExecutionEnvironment environment, int processes) throws ReflectiveOperationException {
    int stage = 0;
    for (Transformation<?> transformation : Graph.transformations(environment)) {
      StreamOperator<?> operator = Graph.operatorOf(transformation);
      if (operator instanceof ExecutableStageDoFnOperator && isOutside(payloadOf(operator))) {
        // Neighbours begin at different processes, for where each stage has but one task.
        Graph.setFactory(transformation, new StageWorkers<>(operator, stage++, processes));
      }
    }
  }

  @Override
  public <O extends StreamOperator<T>> O createStreamOperator(StreamOperatorParameters<T> parameters) {
    int task = TASKS.computeIfAbsent(stage, none -> new AtomicInteger()).getAndIncrement();
    try {
      ExecutableStagePayload.Builder payload = payloadOf(getOperator()).toBuilder();
      payload
          .getEnvironmentBuilder()
          .putResourceHints(HINT, ByteString.copyFromUtf8(Integer.toString((stage + task) % processes)));
      payloadField().set(getOperator(), payload.build());
    } catch (ReflectiveOperationException error) {
      throw new IllegalStateException(error); // it was there when the job was translated
    }
    return super.createStreamOperator(parameters);
  }

  private static boolean isOutside(ExecutableStagePayload stage) {
    return stage.getEnvironment().getUrn().equals(BeamUrns.getUrn(StandardEnvironments.Environments.EXTERNAL));
  }

  private static ExecutableStagePayload payloadOf(StreamOperator<?> operator) throws ReflectiveOperationException {
    return (ExecutableStagePayload) payloadField().get(operator);
  }

  private static Field payloadField() throws NoSuchFieldException {
    return Private.field(ExecutableStageDoFnOperator.class, "payload");
  }
}
