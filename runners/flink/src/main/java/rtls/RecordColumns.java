package rtls;

import com.google.protobuf.CodedOutputStream;
import com.google.protobuf.WireFormat;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import org.checkerframework.checker.nullness.qual.Nullable;

/** Records of Kafka that become one element: columns, as KafkaRecords of proto/state.proto has them. */
final class RecordColumns {
  /** Bytes of values after which they leave: channels have their limits. */
  private static final int MOST_BYTES = 1 << 20;

  private static final byte[] NONE = new byte[0];

  private final int most;

  private long[] partitions = new long[64];
  private long[] offsets = new long[64];
  private long[] timesMillis = new long[64];
  private final List<byte[]> values = new ArrayList<>();
  private int valueBytes;

  /**
   * Makes room.
   *
   * @param most how many records leave together at the most
   */
  RecordColumns(int most) {
    this.most = most;
  }

  void add(int partition, long offset, long timeMillis, byte @Nullable [] value) {
    int size = values.size();
    if (size == partitions.length) {
      partitions = Arrays.copyOf(partitions, 2 * size);
      offsets = Arrays.copyOf(offsets, 2 * size);
      timesMillis = Arrays.copyOf(timesMillis, 2 * size);
    }
    partitions[size] = partition;
    offsets[size] = offset;
    timesMillis[size] = timeMillis;
    values.add(value == null ? NONE : value);
    valueBytes += value == null ? 0 : value.length;
  }

  int size() {
    return values.size();
  }

  /** Returns whether they have to leave. */
  boolean isFull() {
    return size() >= most || valueBytes >= MOST_BYTES;
  }

  void clear() {
    values.clear();
    valueBytes = 0;
  }

  byte[] encoded() {
    int partitionBytes = bytesOf(partitions);
    int offsetBytes = bytesOf(offsets);
    int timeBytes = bytesOf(timesMillis);
    int all = columnBytes(partitionBytes) + columnBytes(offsetBytes) + columnBytes(timeBytes);
    for (byte[] value : values) {
      all += CodedOutputStream.computeByteArraySize(4, value);
    }
    byte[] buffer = new byte[all];
    CodedOutputStream output = CodedOutputStream.newInstance(buffer);
    try {
      write(output, 1, partitions, partitionBytes);
      write(output, 2, offsets, offsetBytes);
      write(output, 3, timesMillis, timeBytes);
      for (byte[] value : values) {
        output.writeByteArray(4, value);
      }
      output.checkNoSpaceLeft();
    } catch (IOException error) {
      throw new UncheckedIOException(error); // a buffer of the right size has no such errors
    }
    return buffer;
  }

  private int bytesOf(long[] column) {
    int bytes = 0;
    for (int index = 0; index < values.size(); index++) {
      bytes += CodedOutputStream.computeInt64SizeNoTag(column[index]);
    }
    return bytes;
  }

  private static int columnBytes(int bytes) {
    return 1 + CodedOutputStream.computeUInt32SizeNoTag(bytes) + bytes; // the tag of a low field is one byte
  }

  private void write(CodedOutputStream output, int field, long[] column, int bytes) throws IOException {
    output.writeTag(field, WireFormat.WIRETYPE_LENGTH_DELIMITED);
    output.writeUInt32NoTag(bytes);
    for (int index = 0; index < values.size(); index++) {
      output.writeInt64NoTag(column[index]);
    }
  }
}
