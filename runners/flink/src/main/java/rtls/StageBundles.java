package rtls;

import java.lang.reflect.Field;
import java.util.HashSet;
import java.util.Set;
import org.apache.beam.runners.flink.translation.wrappers.streaming.DoFnOperator;
import org.apache.beam.runners.flink.translation.wrappers.streaming.ExecutableStageDoFnOperator;
import org.apache.flink.api.dag.Transformation;
import org.apache.flink.streaming.api.environment.StreamExecutionEnvironment;
import org.apache.flink.streaming.api.operators.ChainingStrategy;
import org.apache.flink.streaming.api.operators.StreamOperator;
import org.apache.flink.streaming.api.transformations.LegacySourceTransformation;
import org.apache.flink.streaming.api.transformations.PhysicalTransformation;

/**
 * How long readings gather for a stage, where that is not what Beam's one bundle time for all stages says.
 *
 * <p>What watches anchors, tags, zones and the map is off the way of a position, and tells of things that took seconds to
 * become true; with bundles as short as positions want them it took as much of the processor as the positions. Each stage
 * looks at the clock all the time, be there readings or not.
 *
 * <p>What takes records as the source has gathered them has nothing to wait for. It gets a task of its own: in the
 * source's it would run in the source's thread, under the source's lock; and reading would stand still while Python decodes.
 */
final class StageBundles {
  /** How long readings gather for a stage off the way of a position, in milliseconds. */
  private static final long OFF_THE_WAY_MILLIS = 200;

  /** What the names of the sinks have in them where positions leave. */
  private static final Set<String> POSITIONS_LEAVE = Set.of("WritePositions", "WriteLocations");

  private StageBundles() {}

  /**
   * Gives longer bundles to each stage off the way of a position (a bundle time that is longer already stays), and bundles
   * of one element and a task to each that takes gathered records.
   */
  static void adjust(StreamExecutionEnvironment environment) throws ReflectiveOperationException {
    Field bundleMillis = Private.field(DoFnOperator.class, "maxBundleTimeMills");
    Field bundleSize = Private.field(DoFnOperator.class, "maxBundleSize");
    Set<Transformation<?>> onTheWay = onTheWay(environment);
    int taking = 0;
    for (Transformation<?> transformation : Graph.transformations(environment)) {
      StreamOperator<?> operator = Graph.operatorOf(transformation);
      if (!(operator instanceof ExecutableStageDoFnOperator)) {
        continue;
      }
      boolean takesGathered = transformation.getInputs().stream().anyMatch(StageBundles::readsByTheBatch);
      if (takesGathered) {
        bundleSize.set(operator, 1L);
        ((PhysicalTransformation<?>) transformation).setChainingStrategy(ChainingStrategy.HEAD);
        taking++;
      }
      if (takesGathered || !onTheWay.contains(transformation)) {
        bundleMillis.set(operator, Math.max(OFF_THE_WAY_MILLIS, (long) bundleMillis.get(operator)));
      }
    }
    if (taking == 0 || onTheWay.isEmpty()) {
      throw new IllegalStateException(
          taking + " stages take gathered records, " + onTheWay.size() + " lead to positions; is the job another one?");
    }
  }

  /** Returns where positions leave, and all that leads there. */
  private static Set<Transformation<?>> onTheWay(StreamExecutionEnvironment environment) {
    Set<Transformation<?>> onTheWay = new HashSet<>();
    for (Transformation<?> transformation : Graph.transformations(environment)) {
      if (Graph.operatorOf(transformation) instanceof KafkaSink
          && POSITIONS_LEAVE.stream().anyMatch(transformation.getName()::contains)) {
        onTheWay.addAll(transformation.getTransitivePredecessors());
      }
    }
    return onTheWay;
  }

  private static boolean readsByTheBatch(Transformation<?> transformation) {
    return transformation instanceof LegacySourceTransformation
        && ((LegacySourceTransformation<?>) transformation).getOperator().getUserFunction() instanceof BatchSource;
  }
}
