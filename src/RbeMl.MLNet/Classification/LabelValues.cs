using System.Globalization;
using Microsoft.ML;
using Microsoft.ML.Data;

namespace RbeMl.MLNet.Classification;

/// <summary>The values that the keys of a label column stand for.</summary>
internal abstract class LabelValues
{
    /// <summary>The annotation's name.</summary>
    public const string Annotation = "KeyValues";

    private static readonly IReadOnlyList<Codec> Codecs =
    [
        new Codec<ReadOnlyMemory<char>>(TextDataViewType.Instance, (w, v) => w.Write(v.ToString()), r => r.ReadString().AsMemory(), v => v.ToString()),
        new Codec<float>(NumberDataViewType.Single, (w, v) => w.Write(v), r => r.ReadSingle()),
        new Codec<double>(NumberDataViewType.Double, (w, v) => w.Write(v), r => r.ReadDouble()),
        new Codec<sbyte>(NumberDataViewType.SByte, (w, v) => w.Write(v), r => r.ReadSByte()),
        new Codec<short>(NumberDataViewType.Int16, (w, v) => w.Write(v), r => r.ReadInt16()),
        new Codec<int>(NumberDataViewType.Int32, (w, v) => w.Write(v), r => r.ReadInt32()),
        new Codec<long>(NumberDataViewType.Int64, (w, v) => w.Write(v), r => r.ReadInt64()),
        new Codec<byte>(NumberDataViewType.Byte, (w, v) => w.Write(v), r => r.ReadByte()),
        new Codec<ushort>(NumberDataViewType.UInt16, (w, v) => w.Write(v), r => r.ReadUInt16()),
        new Codec<uint>(NumberDataViewType.UInt32, (w, v) => w.Write(v), r => r.ReadUInt32()),
        new Codec<ulong>(NumberDataViewType.UInt64, (w, v) => w.Write(v), r => r.ReadUInt64()),
        new Codec<bool>(BooleanDataViewType.Instance, (w, v) => w.Write(v), r => r.ReadBoolean()),
        new Codec<DateTime>(DateTimeDataViewType.Instance, (w, v) => w.Write(v.ToBinary()), r => Date(r.ReadInt64())),
        new Codec<TimeSpan>(TimeSpanDataViewType.Instance, (w, v) => w.Write(v.Ticks), r => new TimeSpan(r.ReadInt64())),
    ];

    /// <summary>Names of the classes.</summary>
    public abstract IReadOnlyList<string> Names { get; }

    /// <summary>The values of a label column with <paramref name="count"/> keys; null when it tells none.</summary>
    public static LabelValues? Of(DataViewSchema.Column label, int count)
        => label.Annotations.Schema.GetColumnOrNull(Annotation) is { Type: VectorDataViewType { IsKnownSize: true } type } && type.Size == count
            ? Find(type.ItemType)?.FromAnnotation(label.Annotations)
            : null;

    /// <summary>Values of the type that a label column promises, for promising; null when it promises none.</summary>
    public static LabelValues? Example(SchemaShape.Column label)
    {
        SchemaShape.Column values = label.Annotations.FirstOrDefault(c => c.Name == Annotation);
        return values.Name is not null && values.Kind == SchemaShape.Column.VectorKind.Vector && !values.IsKey ? Find(values.ItemType)?.Example() : null;
    }

    /// <summary>Reads what <see cref="Write"/> wrote.</summary>
    public static LabelValues Read(BinaryReader reader, int count, Func<string, Exception> damaged)
    {
        int index = reader.ReadByte();
        return index < Codecs.Count ? Codecs[index].Read(reader, count) : throw damaged($"hold label values of the unknown kind {index}");
    }

    /// <summary>Writes type and values.</summary>
    public abstract void Write(BinaryWriter writer);

    /// <summary>Adds the values as an annotation.</summary>
    public abstract void AddTo(DataViewSchema.Annotations.Builder annotations, string name);

    private static Codec? Find(DataViewType type) => Codecs.FirstOrDefault(c => c.Type.Equals(type));

    private static DateTime Date(long bits)
    {
        try
        {
            return DateTime.FromBinary(bits);
        }
        catch (ArgumentException error)
        {
            throw new FormatException($"a label is no date: {bits}", error);
        }
    }

    private static int IndexOf(Codec codec) => Codecs.TakeWhile(c => c != codec).Count();

    private abstract class Codec(PrimitiveDataViewType type)
    {
        public PrimitiveDataViewType Type => type;

        public abstract LabelValues FromAnnotation(DataViewSchema.Annotations annotations);

        public abstract LabelValues Example();

        public abstract LabelValues Read(BinaryReader reader, int count);
    }

    private sealed class Codec<T>(PrimitiveDataViewType type, Action<BinaryWriter, T> write, Func<BinaryReader, T> read,
        Func<T, string>? name = null) : Codec(type)
    {
        public void Write(BinaryWriter writer, T value) => write(writer, value);

        public string Name(T value) => name is null ? Convert.ToString(value, CultureInfo.InvariantCulture) ?? "" : name(value);

        public override LabelValues FromAnnotation(DataViewSchema.Annotations annotations)
        {
            VBuffer<T> values = default;
            annotations.GetValue(Annotation, ref values);
            return new Values<T>(this, [.. values.DenseValues()]);
        }

        public override LabelValues Example() => new Values<T>(this, [default!, default!]);

        // Grows with what is really there: the count alone makes no room.
        public override LabelValues Read(BinaryReader reader, int count)
        {
            List<T> values = [];
            while (values.Count < count) values.Add(read(reader));
            return new Values<T>(this, [.. values]);
        }
    }

    private sealed class Values<T>(Codec<T> codec, T[] values) : LabelValues
    {
        public override IReadOnlyList<string> Names { get; } = [.. values.Select(codec.Name)];

        public override void Write(BinaryWriter writer)
        {
            writer.Write((byte)IndexOf(codec));
            foreach (T value in values) codec.Write(writer, value);
        }

        public override void AddTo(DataViewSchema.Annotations.Builder annotations, string name)
            => annotations.Add(name, new VectorDataViewType(codec.Type, values.Length), (ref VBuffer<T> value) =>
            {
                VBufferEditor<T> editor = VBufferEditor.Create(ref value, values.Length);
                values.CopyTo(editor.Values);
                value = editor.Commit();
            });
    }
}
