package rtls;

import java.util.LinkedHashSet;
import java.util.Set;
import org.apache.flink.api.dag.Transformation;
import org.apache.flink.streaming.api.environment.StreamExecutionEnvironment;
import org.apache.flink.streaming.api.operators.SimpleOperatorFactory;
import org.apache.flink.streaming.api.operators.StreamOperator;
import org.apache.flink.streaming.api.operators.StreamOperatorFactory;
import org.apache.flink.streaming.api.transformations.OneInputTransformation;
import org.apache.flink.streaming.api.transformations.TwoInputTransformation;

/** The job as Beam has translated it, before it is run. */
final class Graph {
  private Graph() {}

  /** Returns all transformations, not only those that end it. */
  static Set<Transformation<?>> transformations(StreamExecutionEnvironment environment) {
    Set<Transformation<?>> all = new LinkedHashSet<>();
    for (Transformation<?> transformation : environment.getTransformations()) {
      all.addAll(transformation.getTransitivePredecessors());
    }
    return all;
  }

  /** Returns the operator of a transformation of one or two inputs; null where it has none or is another one. */
  static StreamOperator<?> operatorOf(Transformation<?> transformation) {
    StreamOperatorFactory<?> factory = null;
    if (transformation instanceof OneInputTransformation) {
      factory = ((OneInputTransformation<?, ?>) transformation).getOperatorFactory();
    } else if (transformation instanceof TwoInputTransformation) {
      factory = ((TwoInputTransformation<?, ?, ?>) transformation).getOperatorFactory();
    }
    return factory instanceof SimpleOperatorFactory ? ((SimpleOperatorFactory<?>) factory).getOperator() : null;
  }

  /** Has another factory make the operator of such a transformation. */
  static void setFactory(Transformation<?> transformation, StreamOperatorFactory<?> factory)
      throws ReflectiveOperationException {
    Private.field(transformation.getClass(), "operatorFactory").set(transformation, factory);
  }
}
