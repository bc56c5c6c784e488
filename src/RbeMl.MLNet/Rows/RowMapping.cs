using Microsoft.ML;
using RbeMl.MLNet.Columns;

namespace RbeMl.MLNet.Rows;

/// <summary>
/// A transformer bound to one input schema: which columns it reads and which it adds. It computes nothing; a <see cref="RowBatch"/> made for a row or
/// cursor does.
/// </summary>
internal abstract class RowMapping
{
    /// <summary>Binds.</summary>
    /// <param name="input">The input schema.</param>
    /// <param name="sources">The columns read.</param>
    /// <param name="added">The columns added, in order.</param>
    protected RowMapping(DataViewSchema input, IReadOnlyList<DataViewSchema.Column> sources, IReadOnlyList<AddedColumn> added)
    {
        Input = input;
        Sources = sources;
        DataViewSchema.Builder builder = new();
        builder.AddColumns(input);
        foreach (AddedColumn column in added) builder.AddColumn(column.Name, column.Type, column.Annotations);
        Output = builder.ToSchema();
    }

    /// <summary>The input schema.</summary>
    public DataViewSchema Input { get; }

    /// <summary>The input schema and the added columns.</summary>
    public DataViewSchema Output { get; }

    /// <summary>The columns read.</summary>
    public IReadOnlyList<DataViewSchema.Column> Sources { get; }

    /// <summary>Rows that are read ahead and computed together; 1 for components that gain nothing by it.</summary>
    public abstract int BatchRows { get; }

    /// <summary>The index among the added columns, or -1 for a column passed on.</summary>
    public int AddedIndex(DataViewSchema.Column column) => column.Index < Input.Count ? -1 : column.Index - Input.Count;

    /// <summary>What reads a row's inputs and computes the added columns.</summary>
    /// <param name="input">The row; its source columns are active.</param>
    /// <param name="rows">Room for so many rows.</param>
    public abstract RowBatch CreateBatch(DataViewRow input, int rows);

    /// <summary>The input columns that some output columns need.</summary>
    public IEnumerable<DataViewSchema.Column> Dependencies(IEnumerable<DataViewSchema.Column> columns)
    {
        SortedSet<int> needed = [];
        foreach (DataViewSchema.Column column in columns)
        {
            if (AddedIndex(column) < 0) needed.Add(column.Index);
            else needed.UnionWith(Sources.Select(s => s.Index));
        }

        return needed.Select(i => Input[i]);
    }

    /// <summary>Which output columns are asked for.</summary>
    public bool[] Active(IEnumerable<DataViewSchema.Column> columns)
    {
        bool[] active = new bool[Output.Count];
        foreach (DataViewSchema.Column column in columns)
        {
            if (column.Index >= active.Length || Output[column.Index].Name != column.Name)
            {
                throw new ArgumentOutOfRangeException(nameof(columns), $"Column '{column.Name}' is not of this view's schema.");
            }

            active[column.Index] = true;
        }

        return active;
    }
}

/// <summary>Gives the value of one added column for a row that was computed.</summary>
internal delegate void SlotGetter<T>(int slot, ref T value);

/// <summary>Some rows that are computed together. One caller at a time; results are kept until the next <see cref="Compute"/>.</summary>
internal abstract class RowBatch
{
    /// <summary>Reads the inputs of the current row.</summary>
    public abstract void Read(int slot);

    /// <summary>Computes the added columns of the slots 0 .. rows - 1. Bad data gives missing values, never an exception.</summary>
    public abstract void Compute(int rows);

    /// <summary>A <see cref="SlotGetter{T}"/> of an added column's raw type. It copies: nothing that it hands out is used again.</summary>
    public abstract Delegate Getter(int added);
}
