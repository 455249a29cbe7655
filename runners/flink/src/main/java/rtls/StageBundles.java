package rtls;

import java.lang.reflect.Field;
import org.apache.beam.model.pipeline.v1.RunnerApi.ExecutableStagePayload;
import org.apache.beam.runners.flink.translation.wrappers.streaming.DoFnOperator;
import org.apache.beam.runners.flink.translation.wrappers.streaming.ExecutableStageDoFnOperator;
import org.apache.flink.api.dag.Transformation;
import org.apache.flink.streaming.api.environment.StreamExecutionEnvironment;
import org.apache.flink.streaming.api.operators.ChainingStrategy;
import org.apache.flink.streaming.api.operators.SimpleOperatorFactory;
import org.apache.flink.streaming.api.operators.StreamOperator;
import org.apache.flink.streaming.api.operators.StreamOperatorFactory;
import org.apache.flink.streaming.api.transformations.LegacySourceTransformation;
import org.apache.flink.streaming.api.transformations.OneInputTransformation;
import org.apache.flink.streaming.api.transformations.PhysicalTransformation;
import org.apache.flink.streaming.api.transformations.TwoInputTransformation;

/**
 * How long readings gather for a stage, where that is not what Beam's one bundle time for all stages says.
 *
 * <p>What watches anchors, tags, zones and the map is off the way of a position, and tells of things that took seconds to
 * become true; with bundles as short as positions want them it took as much of the processor as the positions.
 *
 * <p>What takes records as the source has gathered them has nothing to wait for. It gets a task of its own: in the
 * source's it would run in the source's thread, under the source's lock; and reading would stand still while Python decodes.
 */
final class StageBundles {
  /** How long readings gather for a stage that watches, in milliseconds. */
  private static final long WATCH_MILLIS = 200;

  /** What the ids of the transforms begin with whose state makes a stage one that watches; see stable_ids.py. */
  private static final String WATCHES = "ref_AppliedPTransform_Watch";

  private StageBundles() {}

  /**
   * Gives longer bundles to each stage that watches (a bundle time that is longer already stays), and bundles of one
   * element and a task to each that takes gathered records. Of either there is always one.
   */
  static void adjust(StreamExecutionEnvironment environment) throws ReflectiveOperationException {
    Field payload = Private.field(ExecutableStageDoFnOperator.class, "payload");
    Field bundleMillis = Private.field(DoFnOperator.class, "maxBundleTimeMills");
    Field bundleSize = Private.field(DoFnOperator.class, "maxBundleSize");
    int watching = 0;
    int taking = 0;
    for (Transformation<?> transformation : Graph.transformations(environment)) {
      StreamOperator<?> operator = operatorOf(transformation);
      if (!(operator instanceof ExecutableStageDoFnOperator)) {
        continue;
      }
      ExecutableStagePayload stage = (ExecutableStagePayload) payload.get(operator);
      if (stage.getUserStatesList().stream().anyMatch(state -> state.getTransformId().startsWith(WATCHES))) {
        bundleMillis.set(operator, Math.max(WATCH_MILLIS, (long) bundleMillis.get(operator)));
        watching++;
      }
      if (transformation.getInputs().stream().anyMatch(StageBundles::readsByTheBatch)) {
        bundleSize.set(operator, 1L);
        ((PhysicalTransformation<?>) transformation).setChainingStrategy(ChainingStrategy.HEAD);
        taking++;
      }
    }
    if (watching == 0 || taking == 0) {
      throw new IllegalStateException(
          watching + " stages watch, " + taking + " take gathered records; is the job another one?");
    }
  }

  private static boolean readsByTheBatch(Transformation<?> transformation) {
    return transformation instanceof LegacySourceTransformation
        && ((LegacySourceTransformation<?>) transformation).getOperator().getUserFunction() instanceof BatchSource;
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
}
