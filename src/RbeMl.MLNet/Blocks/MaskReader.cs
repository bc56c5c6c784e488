using Microsoft.ML;
using Microsoft.ML.Data;

namespace RbeMl.MLNet.Blocks;

/// <summary>Reads a padding mask of any of its types as bytes of 0 and 1.</summary>
internal abstract class MaskReader
{
    /// <summary>The reader of a mask column.</summary>
    public static MaskReader Create(DataViewRow row, DataViewSchema.Column column)
    {
        DataViewType item = ((VectorDataViewType)column.Type).ItemType;
        if (item == BooleanDataViewType.Instance) return new Of<bool>(row, column, value => value);
        return item == NumberDataViewType.Byte ? new Of<byte>(row, column, value => value != 0) : new Of<float>(row, column, value => value != 0);
    }

    /// <summary>Reads the current row's mask; false when it has another number of tokens.</summary>
    public abstract bool Read(ref byte[] mask, int tokens);

    private sealed class Of<T>(DataViewRow row, DataViewSchema.Column column, Func<T, bool> visible) : MaskReader
    {
        private readonly ValueGetter<VBuffer<T>> _getter = row.GetGetter<VBuffer<T>>(column);
        private VBuffer<T> _buffer;

        public override bool Read(ref byte[] mask, int tokens)
        {
            _getter(ref _buffer);
            if (_buffer.Length != tokens) return false;
            if (mask.Length < tokens) mask = new byte[tokens];
            mask.AsSpan(0, tokens).Clear();
            foreach (KeyValuePair<int, T> item in _buffer.Items()) mask[item.Key] = visible(item.Value) ? (byte)1 : (byte)0;
            return true;
        }
    }
}
