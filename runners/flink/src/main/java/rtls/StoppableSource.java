package rtls;

import java.lang.reflect.Field;
import org.apache.beam.runners.flink.translation.wrappers.streaming.io.UnboundedSourceWrapper;
import org.apache.flink.api.dag.Transformation;
import org.apache.flink.streaming.api.environment.StreamExecutionEnvironment;
import org.apache.flink.streaming.api.functions.source.SourceFunction;
import org.apache.flink.streaming.api.operators.Output;
import org.apache.flink.streaming.api.operators.SimpleOperatorFactory;
import org.apache.flink.streaming.api.operators.StreamSource;
import org.apache.flink.streaming.api.transformations.LegacySourceTransformation;
import org.apache.flink.streaming.api.watermark.Watermark;
import org.apache.flink.streaming.runtime.streamrecord.LatencyMarker;
import org.apache.flink.streaming.runtime.streamrecord.RecordAttributes;
import org.apache.flink.streaming.runtime.streamrecord.StreamRecord;
import org.apache.flink.streaming.runtime.tasks.OperatorChain;
import org.apache.flink.streaming.runtime.watermarkstatus.WatermarkStatus;
import org.apache.flink.util.OutputTag;

/**
 * A source that, when it is stopped, does not say that time has come to its end.
 *
 * <p>Beam's wrapper of an unbounded source sends the last of all watermarks when it is told to stop, and Flink takes a
 * savepoint on stopping only after that. All timers have fired by then: the rounds that were open are settled with what
 * they have, and the readings that would have completed them come too late.
 */
final class StoppableSource<T, F extends SourceFunction<T>> extends StreamSource<T, F> {
  private static final long serialVersionUID = 1L;

  private transient volatile boolean stopping;

  private StoppableSource(F function) {
    super(function);
  }

  /** Puts a stoppable source in the place of each of Beam's unbounded sources. */
  static void replaceSources(StreamExecutionEnvironment environment) throws ReflectiveOperationException {
    int replaced = 0;
    for (Transformation<?> transformation : Graph.transformations(environment)) {
      if (transformation instanceof LegacySourceTransformation && replaced((LegacySourceTransformation<?>) transformation)) {
        replaced++;
      }
    }
    if (replaced == 0) {
      throw new IllegalStateException("the pipeline has no unbounded source of Beam's; has another Beam other ones?");
    }
  }

  private static <T> boolean replaced(LegacySourceTransformation<T> transformation)
      throws ReflectiveOperationException {
    StreamSource<T, ?> source = (StreamSource<T, ?>) transformation.getOperator();
    if (!(source.getUserFunction() instanceof UnboundedSourceWrapper)) {
      return false;
    }
    Field factory = LegacySourceTransformation.class.getDeclaredField("operatorFactory");
    factory.setAccessible(true);
    factory.set(transformation, SimpleOperatorFactory.of(new StoppableSource<>(source.getUserFunction())));
    return true;
  }

  @Override
  public void stop() {
    stopping = true;
    super.stop();
  }

  @Override
  public void run(Object lock, Output<StreamRecord<T>> output, OperatorChain<?, ?> chain) throws Exception {
    super.run(lock, new UntilStopped(output), chain);
  }

  /** Hands all on but the watermark with which the source ends. */
  private final class UntilStopped implements Output<StreamRecord<T>> {
    private final Output<StreamRecord<T>> output;

    UntilStopped(Output<StreamRecord<T>> output) {
      this.output = output;
    }

    @Override
    public void emitWatermark(Watermark watermark) {
      if (!(stopping && watermark.equals(Watermark.MAX_WATERMARK))) {
        output.emitWatermark(watermark);
      }
    }

    @Override
    public void emitWatermarkStatus(WatermarkStatus status) {
      output.emitWatermarkStatus(status);
    }

    @Override
    public <X> void collect(OutputTag<X> tag, StreamRecord<X> element) {
      output.collect(tag, element);
    }

    @Override
    public void collect(StreamRecord<T> element) {
      output.collect(element);
    }

    @Override
    public void emitLatencyMarker(LatencyMarker marker) {
      output.emitLatencyMarker(marker);
    }

    @Override
    public void emitRecordAttributes(RecordAttributes attributes) {
      output.emitRecordAttributes(attributes);
    }

    @Override
    public void close() {
      output.close();
    }
  }
}
