using RbeMl.Codec;
using RbeMl.Layers;
using RbeMl.Models;
using RbeMl.Text;

namespace RbeMl.Files;

/// <summary>What every opened model can be made into.</summary>
public static class ModelFolderExtensions
{
    /// <summary>All weights, the blocks' matrices compressed one block after the other.</summary>
    /// <param name="folder">The opened model.</param>
    /// <param name="options">How; <see cref="RbeOptions.Dense"/> keeps every weight bit for bit.</param>
    /// <param name="progress">Told the number of blocks done; null for none.</param>
    /// <exception cref="NonFiniteException">A weight is NaN or infinite.</exception>
    /// <exception cref="InvalidSettingException">An option is out of range.</exception>
    /// <exception cref="RbeFileException">The file cannot be read.</exception>
    public static TransformerWeights ReadWeights(this IModelFolder folder, RbeOptions options, IProgress<int>? progress = null)
    {
        ArgumentNullException.ThrowIfNull(folder);
        ArgumentNullException.ThrowIfNull(options);
        BlockWeights[] blocks = new BlockWeights[folder.Config.Layers];
        for (int l = 0; l < blocks.Length; l++)
        {
            blocks[l] = BlockWeights.Compress(folder.ReadBlock(l), folder.Config, options);
            progress?.Report(l + 1);
        }

        return folder.Complete(folder.ReadTokenEmbedding(), blocks, folder.ReadHead() is { } head ? (TableWeights)head : null);
    }

    /// <summary>The whole model with exact weights, and its tokenizer.</summary>
    /// <inheritdoc cref="ReadWeights"/>
    public static ModelBundle LoadDense(this IModelFolder folder) =>
        new(new TransformerModel<float>(folder.ReadWeights(RbeOptions.Dense)), folder.Tokenizer) { TokenizerProblem = folder.TokenizerProblem };

    /// <summary>The tokenizer, for what needs text.</summary>
    /// <param name="folder">The opened model.</param>
    /// <param name="setting">What gives the text, for the message.</param>
    /// <param name="value">Its value.</param>
    /// <param name="mend">What to do without a tokenizer.</param>
    /// <exception cref="InvalidSettingException">There is none, or it cannot be read; the message says why.</exception>
    public static ITokenizer RequireTokenizer(this IModelFolder folder, string setting, object? value, string mend)
    {
        ArgumentNullException.ThrowIfNull(folder);
        return folder.Tokenizer ?? throw ModelBundle.MissingTokenizer(setting, value, folder.Path, folder.TokenizerProblem, mend);
    }

    /// <summary>All weights of tables and blocks that are there already; what else belongs to the model is read.</summary>
    internal static TransformerWeights Complete(this IModelFolder folder, TableWeights tokens, IReadOnlyList<BlockWeights> blocks, TableWeights? head)
    {
        (float[] gamma, float[] beta) = folder.ReadFinalNorm();
        return new TransformerWeights
        {
            Config = folder.Config,
            TokenEmbedding = tokens,
            PositionEmbedding = folder.ReadPositionEmbedding(),
            Blocks = blocks,
            FinalGamma = gamma,
            FinalBeta = beta,
            Head = head,
            Tokens = folder.Tokens,
            Encoder = folder.Encoder,
            TokenTypes = folder.ReadTokenTypes(),
        };
    }
}
