using RbeMl.Codec;
using RbeMl.Layers;
using RbeMl.Models;
using RbeMl.Training;

namespace RbeMl.Tests.Support;

/// <summary>A model that trains in milliseconds.</summary>
internal static class SmallModel
{
    public static TransformerModel<float> Create(
        int length = 16, float dropout = 0.1f, int layers = 2, LayerNormStorage norms = LayerNormStorage.Dense, bool compressedTable = false,
        SupportRule? support = null, int width = 32)
    {
        TransformerConfig config =
            new() { Width = width, Heads = 2, Layers = layers, Vocabulary = 11, MaxSequenceLength = length, Dropout = dropout, LayerNorm = norms };
        RbeOptions options = new() { Tile = 32, Format = RbeFormat.Sparse(128, support ?? SupportRule.Runs(8)) };
        return TransformerModel<float>.Create(config, options, 1, compressedTable ? options : null);
    }
}

/// <summary>Sequences that count up by one, from a start that depends on the place in the run.</summary>
internal sealed class CountingTokens(int vocabulary) : ITokenSource
{
    public int Vocabulary => vocabulary;

    public void Fill(long batchIndex, int batch, int context, Span<int> inputs, Span<int> targets)
    {
        for (int b = 0; b < batch; b++)
        {
            for (int t = 0; t < context; t++)
            {
                int value = (int)(((batchIndex * batch) + b) * 5) + t;
                inputs[(b * context) + t] = value % vocabulary;
                targets[(b * context) + t] = (value + 1) % vocabulary;
            }
        }
    }
}
