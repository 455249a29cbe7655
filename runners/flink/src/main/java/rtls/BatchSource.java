package rtls;

import java.io.Closeable;
import java.io.IOException;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.locks.LockSupport;
import org.apache.beam.runners.flink.metrics.FlinkMetricContainer;
import org.apache.beam.runners.flink.translation.wrappers.streaming.io.UnboundedSourceWrapper;
import org.apache.beam.sdk.io.UnboundedSource;
import org.apache.beam.sdk.io.UnboundedSource.UnboundedReader;
import org.apache.beam.sdk.io.kafka.KafkaCheckpointMark;
import org.apache.beam.sdk.io.kafka.KafkaRecord;
import org.apache.beam.sdk.metrics.MetricsEnvironment;
import org.apache.beam.sdk.metrics.SourceMetrics;
import org.apache.beam.sdk.options.PipelineOptions;
import org.apache.beam.sdk.transforms.windowing.GlobalWindow;
import org.apache.beam.sdk.transforms.windowing.PaneInfo;
import org.apache.beam.sdk.values.WindowedValue;
import org.apache.beam.sdk.values.WindowedValues;
import org.apache.flink.api.common.functions.RuntimeContext;
import org.apache.flink.api.common.state.CheckpointListener;
import org.apache.flink.configuration.Configuration;
import org.apache.flink.runtime.state.FunctionInitializationContext;
import org.apache.flink.runtime.state.FunctionSnapshotContext;
import org.apache.flink.streaming.api.checkpoint.CheckpointedFunction;
import org.apache.flink.streaming.api.functions.source.RichParallelSourceFunction;
import org.apache.flink.streaming.api.operators.StreamingRuntimeContext;
import org.apache.flink.streaming.api.watermark.Watermark;
import org.apache.flink.streaming.runtime.tasks.ProcessingTimeService;

/**
 * KafkaIO's source by the batch: each element is a KafkaRecords message.
 *
 * <p>Readers, state and watermarks are those of Beam's own wrapper of an unbounded source, which reads as well, but hands
 * over record by record, sleeps 50 ms where there was none, and with a backlog hardly ever lets go of Flink's lock, so
 * that checkpoints and watermarks have to wait for it.
 *
 * <p>A source that is told to stop does not say that time has come to its end, as Beam's does. Flink takes a savepoint on
 * stopping only after that, and all timers would have fired by then: the rounds that were open would be settled with what
 * they have, and the readings that would have completed them would come too late.
 */
final class BatchSource extends RichParallelSourceFunction<WindowedValue<byte[]>>
    implements CheckpointedFunction, CheckpointListener {
  private static final long serialVersionUID = 1L;

  /** How long the lock is left alone after a batch: whoever waits for it needs some time to wake up. */
  private static final long LET_GO_NANOS = TimeUnit.MICROSECONDS.toNanos(50);

  /** How long is waited where there was no record. */
  private static final long IDLE_NANOS = TimeUnit.MILLISECONDS.toNanos(2);

  /** How long is waited where there never will be one. */
  private static final long NOTHING_TO_READ_MILLIS = 100;

  private final String name;
  private final UnboundedSourceWrapper<KafkaRecord<byte[], byte[]>, KafkaCheckpointMark> beam;

  private transient FlinkMetricContainer metrics;
  private volatile boolean running = true;

  /**
   * Splits the source.
   *
   * @param splits how many parts there are at the most
   */
  BatchSource(
      String name,
      PipelineOptions options,
      UnboundedSource<KafkaRecord<byte[], byte[]>, KafkaCheckpointMark> source,
      int splits)
      throws Exception {
    this.name = name;
    beam = new UnboundedSourceWrapper<>(name, options, source, splits);
  }

  @Override
  public void run(SourceContext<WindowedValue<byte[]>> context) throws Exception {
    List<BatchReader> readers = readers();
    if (readers.isEmpty()) {
      nothingToRead(context);
      return;
    }
    emitWatermarks(context);
    boolean started = false;
    while (running) {
      boolean found = false;
      for (BatchReader reader : readers) {
        // What a reader has gone past is emitted before any checkpoint is taken.
        synchronized (context.getCheckpointLock()) {
          if (running && (started ? reader.advance() : reader.start())) {
            emit(reader, context);
            found = true;
          }
        }
      }
      started = true;
      if (found) {
        tell(readers);
      }
      LockSupport.parkNanos(found ? LET_GO_NANOS : IDLE_NANOS);
    }
  }

  /** KafkaIO counts each record by itself, in five ways; that takes longer than all else that is done with it here. */
  private void tell(List<BatchReader> readers) throws IOException {
    long backlogBytes = 0;
    try (Closeable ignored = MetricsEnvironment.scopedMetricsContainer(metrics.getMetricsContainer(name))) {
      for (BatchReader reader : readers) {
        SourceMetrics.elementsRead().inc(reader.size());
        SourceMetrics.bytesRead().inc(reader.bytes());
        backlogBytes += Math.max(0, reader.backlogBytes());
      }
      SourceMetrics.backlogBytes().set(backlogBytes);
    }
    metrics.updateMetrics(name, List.of());
  }

  /** There are more tasks than partitions: this one does not hold up time, and stays, for Flink takes no checkpoint else. */
  private void nothingToRead(SourceContext<WindowedValue<byte[]>> context) throws InterruptedException {
    synchronized (context.getCheckpointLock()) {
      context.emitWatermark(Watermark.MAX_WATERMARK);
    }
    while (running) {
      Thread.sleep(NOTHING_TO_READ_MILLIS);
    }
  }

  @SuppressWarnings("unchecked")
  private List<BatchReader> readers() throws ReflectiveOperationException {
    List<BatchReader> readers = new ArrayList<>();
    for (Object reader : (List<?>) Private.field(UnboundedSourceWrapper.class, "localReaders").get(beam)) {
      readers.add(new BatchReader((UnboundedReader<KafkaRecord<byte[], byte[]>>) reader));
    }
    return readers;
  }

  /** Has Beam's wrapper emit them from now on; it sets its timer anew each time. */
  @SuppressWarnings({"unchecked", "rawtypes", "FutureReturnValueIgnored"})
  private void emitWatermarks(SourceContext<WindowedValue<byte[]>> context) {
    beam.setSourceContext((SourceContext) context); // it emits nothing else
    ProcessingTimeService time = ((StreamingRuntimeContext) getRuntimeContext()).getProcessingTimeService();
    long interval = getRuntimeContext().getExecutionConfig().getAutoWatermarkInterval();
    time.registerTimer(time.getCurrentProcessingTime() + interval, beam);
  }

  private static void emit(BatchReader reader, SourceContext<WindowedValue<byte[]>> context) {
    context.collect(
        WindowedValues.of(
            reader.getCurrent(), reader.getCurrentTimestamp(), GlobalWindow.INSTANCE, PaneInfo.NO_FIRING));
  }

  @Override
  public void cancel() {
    running = false;
    beam.cancel();
  }

  @Override
  public void setRuntimeContext(RuntimeContext context) {
    super.setRuntimeContext(context);
    beam.setRuntimeContext(context);
  }

  @Override
  public void open(Configuration parameters) throws Exception {
    metrics = new FlinkMetricContainer(getRuntimeContext());
    beam.open(parameters);
  }

  @Override
  public void close() throws Exception {
    beam.close();
  }

  @Override
  public void initializeState(FunctionInitializationContext context) throws Exception {
    beam.initializeState(context);
  }

  @Override
  public void snapshotState(FunctionSnapshotContext context) throws Exception {
    beam.snapshotState(context);
  }

  @Override
  public void notifyCheckpointComplete(long checkpoint) throws Exception {
    beam.notifyCheckpointComplete(checkpoint);
  }
}
