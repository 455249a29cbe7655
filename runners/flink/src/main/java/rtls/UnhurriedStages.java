package rtls;

import java.lang.reflect.Field;
import java.util.LinkedHashSet;
import java.util.Set;
import org.apache.beam.model.pipeline.v1.RunnerApi.ExecutableStagePayload;
import org.apache.beam.runners.flink.translation.wrappers.streaming.DoFnOperator;
import org.apache.beam.runners.flink.translation.wrappers.streaming.ExecutableStageDoFnOperator;
import org.apache.flink.api.dag.Transformation;
import org.apache.flink.streaming.api.environment.StreamExecutionEnvironment;
import org.apache.flink.streaming.api.operators.SimpleOperatorFactory;
import org.apache.flink.streaming.api.operators.StreamOperator;
import org.apache.flink.streaming.api.operators.StreamOperatorFactory;
import org.apache.flink.streaming.api.transformations.OneInputTransformation;
import org.apache.flink.streaming.api.transformations.TwoInputTransformation;

/**
 * Stages off the way of a position, which take their time.
 *
 * <p>Beam has one bundle time for all stages, and positions want it short. What watches anchors, tags, zones and the map
 * tells of things that took seconds to become true; with bundles as short it took as much of the processor as the positions.
 */
final class UnhurriedStages {
  /** How long readings gather for a stage that watches, in milliseconds. */
  private static final long BUNDLE_MILLIS = 200;

  /** What the ids of the transforms begin with whose state makes a stage one of them; see stable_ids.py. */
  private static final String WATCHES = "ref_AppliedPTransform_Watch";

  private UnhurriedStages() {}

  /** Gives longer bundles to each stage that watches, of which there is always one; a longer bundle time stays. */
  static void slowDown(StreamExecutionEnvironment environment) throws ReflectiveOperationException {
    Set<Transformation<?>> all = new LinkedHashSet<>();
    for (Transformation<?> transformation : environment.getTransformations()) {
      all.addAll(transformation.getTransitivePredecessors());
    }
    Field payload = ExecutableStageDoFnOperator.class.getDeclaredField("payload");
    Field bundleMillis = DoFnOperator.class.getDeclaredField("maxBundleTimeMills");
    payload.setAccessible(true);
    bundleMillis.setAccessible(true);
    int found = 0;
    for (Transformation<?> transformation : all) {
      StreamOperator<?> operator = operatorOf(transformation);
      if (operator instanceof ExecutableStageDoFnOperator && watches((ExecutableStagePayload) payload.get(operator))) {
        bundleMillis.set(operator, Math.max(BUNDLE_MILLIS, (long) bundleMillis.get(operator)));
        found++;
      }
    }
    if (found == 0) {
      throw new IllegalStateException("the pipeline has no stage that watches; have its transforms other ids?");
    }
  }

  private static StreamOperator<?> operatorOf(Transformation<?> transformation) {
    StreamOperatorFactory<?> factory = null;
    if (transformation instanceof OneInputTransformation) {
      factory = ((OneInputTransformation<?, ?>) transformation).getOperatorFactory();
    } else if (transformation instanceof TwoInputTransformation) {
      factory = ((TwoInputTransformation<?, ?, ?>) transformation).getOperatorFactory();
    }
    return factory instanceof SimpleOperatorFactory ? ((SimpleOperatorFactory<?>) factory).getOperator() : null;
  }

  private static boolean watches(ExecutableStagePayload stage) {
    return stage.getUserStatesList().stream().anyMatch(state -> state.getTransformId().startsWith(WATCHES));
  }
}
