using RbeMl.MLNet.Columns;
using RbeMl.MLNet.Runtime;
using RbeMl.Models;

namespace RbeMl.MLNet.Embeddings;

/// <summary>What <c>ml.Rbe.TextEmbedding</c> can be told. The encoder comes from one of <see cref="ModelPath"/> and <see cref="Encoder"/>.</summary>
public sealed class TextEmbeddingOptions
{
    /// <summary>The column of vectors that is added, <c>Vector&lt;Single, D&gt;</c>.</summary>
    public string OutputColumnName { get; set; } = "Embedding";

    /// <summary>The text column.</summary>
    public string InputColumnName { get; set; } = "Text";

    /// <summary>A <c>.rbe</c> file of an encoder, or the folder or .onnx file of a BERT.</summary>
    public string? ModelPath { get; set; }

    /// <summary>An encoder in hand. <c>Fit</c> copies it: keep it until then. It stays its owner's.</summary>
    public SentenceEncoder? Encoder { get; set; }

    /// <summary>Name of the prompt to put before each text; null for the encoder's default, an empty text for none.</summary>
    public string? Prompt { get; set; }

    /// <summary>Tokens of a text that are seen together; null takes the encoder's own number.</summary>
    public int? MaxTokens { get; set; }

    /// <summary>What is done with a text of more tokens; null does what the encoder says.</summary>
    public LongTexts? LongTexts { get; set; }

    /// <summary>Rows that are read ahead and computed together, up to 65,536; 1 computes row by row.</summary>
    public int BatchRows { get; set; } = 64;

    /// <summary>Threads of a computation, up to 1024; 0 for one a processor. They change no bit of the result.</summary>
    public int Threads { get; set; }

    internal TextEmbeddingOptions Checked()
    {
        ColumnName.Check(nameof(OutputColumnName), OutputColumnName);
        ColumnName.Check(nameof(InputColumnName), InputColumnName);
        if (ModelPath is null == Encoder is null) throw new InvalidSettingException(nameof(ModelPath), ModelPath, "give a path or an encoder, and not both.");
        RunLimits.CheckRows(nameof(BatchRows), BatchRows);
        RunLimits.CheckThreads(Threads);
        return (TextEmbeddingOptions)MemberwiseClone();
    }
}
