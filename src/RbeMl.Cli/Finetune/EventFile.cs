using System.Buffers.Binary;
using System.Numerics;
using System.Text;

namespace RbeMl.Cli.Finetune;

/// <summary>
/// An event file of TensorBoard: records of TFRecord (length, its checksum, data, its checksum), each an <c>Event</c> of protobuf with one
/// scalar. The checksums are CRC-32C, rotated and offset as TFRecord wants them.
/// </summary>
/// <param name="path">Its name, which holds <c>tfevents</c>.</param>
internal sealed class EventFile(string path) : MetricsFile(path)
{
    private const string FileVersion = "brain.Event:2";
    private const uint MaskDelta = 0xA282EAD8;

    // Number of a field and how it is stored, as protobuf puts them into one byte.
    private const byte WallTime = (1 << 3) | 1, Step = (2 << 3) | 0, Version = (3 << 3) | 2, Summary = (5 << 3) | 2, Value = (1 << 3) | 2, Tag = (1 << 3) | 2,
        Simple = (2 << 3) | 5;

    /// <summary>Where a run's file lies in a folder: runs have folders of their own there, and are shown side by side.</summary>
    public static string Of(string folder, string runId) => System.IO.Path.Combine(folder, runId[..8], "events.out.tfevents.0.rbeml");

    /// <summary>The checksum as it stands in the file.</summary>
    public static uint Checksum(ReadOnlySpan<byte> data)
    {
        uint crc = uint.MaxValue;
        foreach (byte each in data) crc = BitOperations.Crc32C(crc, each);
        return BitOperations.RotateRight(~crc, 15) + MaskDelta;
    }

    /// <inheritdoc/>
    public override void Add(StepRecord step)
    {
        Scalar(step.Step, "loss/training", step.Loss);
        Scalar(step.Step, "learning_rate", step.LearningRate);
        Scalar(step.Step, "gradient_norm", step.GradientNorm);
        Scalar(step.Step, "tokens_per_second", step.TokensPerSecond);
        Scalar(step.Step, "resident_bytes", step.ResidentBytes);
    }

    /// <inheritdoc/>
    public override void Add(ValidationRecord validation) => Scalar(validation.Step, "loss/validation", validation.Loss);

    /// <inheritdoc/>
    protected override void Head()
    {
        using MemoryStream data = Event();
        Text(data, Version, FileVersion);
        Record(data);
    }

    private void Scalar(int step, string tag, double value)
    {
        using MemoryStream one = new(), summary = new(), data = Event();
        Text(one, Tag, tag);
        one.WriteByte(Simple);
        Span<byte> number = stackalloc byte[sizeof(float)];
        BinaryPrimitives.WriteSingleLittleEndian(number, (float)value);
        one.Write(number);
        Bytes(summary, Value, one.ToArray());
        data.WriteByte(Step);
        Whole(data, (ulong)step);
        Bytes(data, Summary, summary.ToArray());
        Record(data);
    }

    private static MemoryStream Event()
    {
        MemoryStream data = new();
        data.WriteByte(WallTime);
        Span<byte> time = stackalloc byte[sizeof(double)];
        BinaryPrimitives.WriteDoubleLittleEndian(time, (DateTime.UtcNow - DateTime.UnixEpoch).TotalSeconds);
        data.Write(time);
        return data;
    }

    private void Record(MemoryStream data)
    {
        byte[] bytes = data.ToArray();
        Span<byte> head = stackalloc byte[sizeof(ulong) + sizeof(uint)], tail = stackalloc byte[sizeof(uint)];
        BinaryPrimitives.WriteUInt64LittleEndian(head, (ulong)bytes.Length);
        BinaryPrimitives.WriteUInt32LittleEndian(head[sizeof(ulong)..], Checksum(head[..sizeof(ulong)]));
        BinaryPrimitives.WriteUInt32LittleEndian(tail, Checksum(bytes));
        Stream.Write(head);
        Stream.Write(bytes);
        Stream.Write(tail);
    }

    private static void Text(MemoryStream to, byte field, string text) => Bytes(to, field, Encoding.UTF8.GetBytes(text));

    private static void Bytes(MemoryStream to, byte field, byte[] bytes)
    {
        to.WriteByte(field);
        Whole(to, (ulong)bytes.Length);
        to.Write(bytes);
    }

    // Seven bits a byte, the lowest first; all but the last have the eighth.
    private static void Whole(MemoryStream to, ulong value)
    {
        for (; value >= 0x80; value >>= 7) to.WriteByte((byte)(value | 0x80));
        to.WriteByte((byte)value);
    }
}
