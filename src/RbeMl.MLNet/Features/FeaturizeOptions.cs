using RbeMl.MLNet.Columns;
using RbeMl.MLNet.Runtime;
using RbeMl.Models;
using RbeMl.Text;

namespace RbeMl.MLNet.Features;

/// <summary>What <c>ml.Rbe.Featurize</c> can be told. The model comes from one of <see cref="ModelPath"/> and <see cref="Model"/>.</summary>
public sealed class FeaturizeOptions
{
    /// <summary>The column of features that is added, <c>Vector&lt;Single, D&gt;</c>.</summary>
    public string OutputColumnName { get; set; } = "Features";

    /// <summary>A text column, or one of token ids: a vector of Int32, Int64, UInt32 or keys.</summary>
    public string InputColumnName { get; set; } = "Text";

    /// <summary>A <c>.rbe</c> model, or the folder of a Hugging Face GPT-2.</summary>
    public string? ModelPath { get; set; }

    /// <summary>A model in hand; it is copied.</summary>
    public ModelBundle? Model { get; set; }

    /// <summary>Turns texts into ids; null takes the model's own.</summary>
    public ITokenizer? Tokenizer { get; set; }

    /// <summary>
    /// Whose output: 0 is the embedding, l that of block l - 1, and the number of layers the last block's after the final LayerNorm. Null
    /// takes the last.
    /// </summary>
    public int? Layer { get; set; }

    /// <summary>How a text's tokens become one vector.</summary>
    public Pooling Pooling { get; set; } = Pooling.Mean;

    /// <summary>Tokens of a text that are used; null takes as many as the model has positions.</summary>
    public int? MaxTokens { get; set; }

    /// <summary>Whether the end of a text that is too long is used, in place of its beginning.</summary>
    public bool KeepEnd { get; set; }

    /// <summary>Rows that are read ahead and computed together, up to 65,536; 1 computes row by row.</summary>
    public int BatchRows { get; set; } = 64;

    /// <summary>Threads of a computation, up to 1024; 0 for one a processor. They change no bit of the result.</summary>
    public int Threads { get; set; }

    internal FeaturizeOptions Checked()
    {
        ColumnName.Check(nameof(OutputColumnName), OutputColumnName);
        ColumnName.Check(nameof(InputColumnName), InputColumnName);
        if (ModelPath is null == Model is null) throw new InvalidSettingException(nameof(ModelPath), ModelPath, "give a path or a model, and not both.");
        RunLimits.CheckRows(nameof(BatchRows), BatchRows);
        RunLimits.CheckThreads(Threads);
        return (FeaturizeOptions)MemberwiseClone();
    }
}
