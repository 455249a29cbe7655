package rtls;

import java.util.LinkedHashSet;
import java.util.Set;
import org.apache.flink.api.dag.Transformation;
import org.apache.flink.streaming.api.environment.StreamExecutionEnvironment;

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
}
