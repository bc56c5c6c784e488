using Microsoft.ML;
using Microsoft.ML.Data;
using RbeMl.MLNet.Columns;

namespace RbeMl.MLNet.Blocks;

/// <summary>The columns of a block, and its run-time settings.</summary>
/// <param name="Output">Name of the column added.</param>
/// <param name="Input">Name of the activations.</param>
/// <param name="Mask">Name of the padding mask, or null.</param>
/// <param name="Variable">Whether rows have different numbers of tokens.</param>
/// <param name="BatchTokens">Tokens computed together.</param>
/// <param name="Threads">Threads; 0 for one a processor.</param>
internal sealed record BlockColumns(string Output, string Input, string? Mask, bool Variable, int BatchTokens, int Threads)
{
    /// <summary>Checks a promise and adds the output to it.</summary>
    public SchemaShape Add(SchemaShape schema, int width)
    {
        string expected = Variable ? "VarVector<Single>" : $"Vector<Single, n x {width}>";
        SchemaShape.Column.VectorKind kind = Variable ? SchemaShape.Column.VectorKind.VariableVector : SchemaShape.Column.VectorKind.Vector;
        SchemaShape.Column activations = InputColumn.Find(schema, Input, c => c.Kind == kind && c.ItemType == NumberDataViewType.Single && !c.IsKey, expected);
        if (Mask is not null) InputColumn.Find(schema, Mask, c => c.Kind == kind && !c.IsKey && IsMask(c.ItemType), MaskText("n"));

        // A promise has no sizes, so any will do.
        DataViewType type = activations.Kind == SchemaShape.Column.VectorKind.Vector ? new VectorDataViewType(NumberDataViewType.Single, width)
            : new VectorDataViewType(NumberDataViewType.Single);
        return InputColumn.Add(schema, new AddedColumn(Output, type));
    }

    /// <summary>Finds the columns in a schema; the mask is last, if there is one. Tokens is 0 for a variable number.</summary>
    public (DataViewSchema.Column[] Sources, int Tokens) Find(DataViewSchema schema, int width, int maxTokens)
    {
        DataViewSchema.Column activations = InputColumn.Find(
            schema,
            Input,
            type => type is VectorDataViewType v && v.ItemType == NumberDataViewType.Single && v.IsKnownSize != Variable
            && (Variable || (v.Size % width == 0 && v.Size / width <= maxTokens)),
            Variable ? "VarVector<Single>" : $"Vector<Single, n> with n = {width}, {2 * width} ... {maxTokens} x {width}");
        int tokens = Variable ? 0 : ((VectorDataViewType)activations.Type).Size / width;
        if (Mask is null) return ([activations], tokens);
        DataViewSchema.Column mask = InputColumn.Find(
            schema,
            Mask,
            type => type is VectorDataViewType v && IsMask(v.ItemType) && v.IsKnownSize != Variable && (Variable || v.Size == tokens),
            MaskText($"{tokens}"));
        return ([activations, mask], tokens);
    }

    /// <summary>The column added to a schema whose activations are of that type.</summary>
    public AddedColumn Added(DataViewType activations) => new(Output, activations);

    private static bool IsMask(DataViewType item) =>
        item == BooleanDataViewType.Instance || item == NumberDataViewType.Byte || item == NumberDataViewType.Single;

    private string MaskText(string size) => Variable ? "VarVector of Boolean, Byte or Single"
        : $"Vector<Boolean, {size}>, Vector<Byte, {size}> or Vector<Single, {size}>";
}
