using RbeMl.Codec;
using RbeMl.Layers;
using RbeMl.MLNet.Columns;
using RbeMl.MLNet.Runtime;

namespace RbeMl.MLNet.Blocks;

/// <summary>
/// What <c>ml.Rbe.TransformerBlock</c> can be told. The weights come from one of <see cref="Weights"/>, <see cref="DenseWeights"/> and
/// <see cref="ModelPath"/>. Letters: T tokens a row, D width.
/// </summary>
public sealed class TransformerBlockOptions
{
    /// <summary>The column added, of the input's shape.</summary>
    public string OutputColumnName { get; set; } = "Output";

    /// <summary>
    /// The activations, [T, D] row-major: <c>Vector&lt;Single, T x D&gt;</c>, or <c>VarVector&lt;Single&gt;</c> with
    /// <see cref="VariableLength"/>.
    /// </summary>
    public string InputColumnName { get; set; } = "Activations";

    /// <summary>
    /// A column of T values, of Boolean, Byte or Single: 0 or false hides a token from all others. Null hides none. Of variable size where the activations are.
    /// </summary>
    public string? PaddingMaskColumnName { get; set; }

    /// <summary>Whether rows have different numbers of tokens.</summary>
    public bool VariableLength { get; set; }

    /// <summary>Shapes; needed with <see cref="Weights"/> and <see cref="DenseWeights"/>, and read from the model with <see cref="ModelPath"/>.</summary>
    public TransformerConfig? Config { get; set; }

    /// <summary>Compressed weights.</summary>
    public BlockWeights? Weights { get; set; }

    /// <summary>Dense weights, compressed when the estimator is fitted, as <see cref="Compression"/> says.</summary>
    public DenseBlockWeights? DenseWeights { get; set; }

    /// <summary>A <c>.rbe</c> model, or the folder of a Hugging Face GPT-2, whose dense block is compressed as <see cref="Compression"/> says.</summary>
    public string? ModelPath { get; set; }

    /// <summary>Which block of <see cref="ModelPath"/>; 0 with the others.</summary>
    public int Layer { get; set; }

    /// <summary>How dense weights are compressed.</summary>
    public RbeOptions Compression { get; set; } = new() { Format = RbeFormat.Quantized(6) };

    /// <summary>Rows of the training data that calibrate the compression of dense weights; 0 compresses for the weights alone.</summary>
    public int CalibrationRows { get; set; }

    /// <summary>
    /// Tokens that are computed together: rows are read ahead until there are so many, up to 1,048,576 and of 65,536 rows. 0 computes row
    /// by row.
    /// </summary>
    public int BatchTokens { get; set; } = 512;

    /// <summary>Threads of a computation, up to 1024; 0 means one for each processor.</summary>
    public int Threads { get; set; }

    internal TransformerBlockOptions Checked()
    {
        ColumnName.Check(nameof(OutputColumnName), OutputColumnName);
        ColumnName.Check(nameof(InputColumnName), InputColumnName);
        if (PaddingMaskColumnName is not null) ColumnName.Check(nameof(PaddingMaskColumnName), PaddingMaskColumnName);
        int sources = (Weights is null ? 0 : 1) + (DenseWeights is null ? 0 : 1) + (ModelPath is null ? 0 : 1);
        if (sources != 1) throw new InvalidSettingException("weights", $"{sources} sources", "give exactly one of Weights, DenseWeights and ModelPath.");
        if (ModelPath is null && Config is null) throw new InvalidSettingException(nameof(Config), null, "give the shapes that the weights have.");
        if (ModelPath is not null && Config is not null) throw new InvalidSettingException(nameof(Config), "set", "leave it out: the model's own is used.");
        if (DenseWeights is null && CalibrationRows != 0 && !Directory.Exists(ModelPath))
        {
            throw new InvalidSettingException(nameof(CalibrationRows), CalibrationRows,
                "use 0: only dense weights are compressed, and these are compressed already.");
        }

        if (CalibrationRows < 0) throw new InvalidSettingException(nameof(CalibrationRows), CalibrationRows, "use 0 for none, or a positive number.");
        if (Layer != 0 && ModelPath is null)
        {
            throw new InvalidSettingException(nameof(Layer), Layer, "leave it out: only a model of ModelPath has more than one block.");
        }

        if (Compression is null)
        {
            throw new InvalidSettingException(nameof(Compression), "null", "give how dense weights are compressed, or leave it out for 6 bits.");
        }

        RunLimits.CheckTokens(nameof(BatchTokens), BatchTokens);
        RunLimits.CheckThreads(Threads);
        Config?.Validate();
        return (TransformerBlockOptions)MemberwiseClone();
    }
}
