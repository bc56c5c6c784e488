using Microsoft.ML;
using Microsoft.ML.Data;

namespace RbeMl.MLNet.Rows;

/// <summary>Keeps the values of a passed-on column for the rows that are read ahead.</summary>
internal abstract class PassedColumn
{
    /// <summary>Room for the values of some rows.</summary>
    /// <param name="input">The row they are read from.</param>
    /// <param name="column">The column.</param>
    /// <param name="rows">Number of rows.</param>
    public static PassedColumn Create(DataViewRow input, DataViewSchema.Column column, int rows)
    {
        Type raw = column.Type.RawType;
        Type kind = raw.IsGenericType && raw.GetGenericTypeDefinition() == typeof(VBuffer<>)
            ? typeof(Vectors<>).MakeGenericType(raw.GetGenericArguments())
            : typeof(Values<>).MakeGenericType(raw);
        return (PassedColumn)Activator.CreateInstance(kind, input, column, rows)!;
    }

    /// <summary>Takes the current row's value.</summary>
    public abstract void Read(int slot);

    /// <summary>A <see cref="SlotGetter{T}"/> of the column's raw type; it copies.</summary>
    public abstract Delegate Getter { get; }

    private sealed class Values<T>(DataViewRow input, DataViewSchema.Column column, int rows) : PassedColumn
    {
        private readonly ValueGetter<T> _getter = input.GetGetter<T>(column);
        private readonly T[] _values = new T[rows];

        public override Delegate Getter => new SlotGetter<T>((int slot, ref T value) => value = _values[slot]);

        public override void Read(int slot)
        {
            // A new one every time: who made an object may dispose of it when given it back, but it was handed on.
            T value = default!;
            _getter(ref value);
            _values[slot] = value;
        }
    }

    private sealed class Vectors<T>(DataViewRow input, DataViewSchema.Column column, int rows) : PassedColumn
    {
        private readonly ValueGetter<VBuffer<T>> _getter = input.GetGetter<VBuffer<T>>(column);
        private readonly VBuffer<T>[] _values = new VBuffer<T>[rows];

        public override Delegate Getter => new SlotGetter<VBuffer<T>>((int slot, ref VBuffer<T> value) => _values[slot].CopyTo(ref value));

        public override void Read(int slot) => _getter(ref _values[slot]);
    }
}
