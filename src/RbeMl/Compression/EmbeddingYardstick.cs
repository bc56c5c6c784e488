using RbeMl.Codec;
using RbeMl.Layers;
using RbeMl.Memory;
using RbeMl.Models;
using RbeMl.Numerics;

namespace RbeMl.Compression;

/// <summary>How near a compressed encoder's vectors are to those of the dense one, on sequences of the calibration.</summary>
/// <param name="Sequences">Sequences compared.</param>
/// <param name="MeanCosine">Mean cosine of a sequence's two vectors.</param>
/// <param name="LeastCosine">The least.</param>
/// <param name="RelativeError">‖e − ê‖ / ‖e‖ over all of them.</param>
public sealed record EmbeddingFigures(int Sequences, double MeanCosine, double LeastCosine, double RelativeError);

/// <summary>Makes an encoder's vectors of its last block's output, and compares them. Sequences are of one length, without padding.</summary>
/// <param name="config">Shapes.</param>
/// <param name="settings">How vectors are made.</param>
/// <param name="gamma">[D] of the last LayerNorm.</param>
/// <param name="beta">[D].</param>
internal sealed unsafe class EmbeddingYardstick(TransformerConfig config, EncoderSettings settings, float[] gamma, float[] beta)
{
    /// <summary>Sequences that are measured on at most: enough for the order of matrices, and quick.</summary>
    public const int Sequences = 64;

    /// <summary>Places of some of so many sequences, evenly spread.</summary>
    public static int[] Spread(int sequences, int most)
    {
        int count = Math.Min(sequences, most);
        return [.. Enumerable.Range(0, count).Select(i => (int)((long)i * sequences / count))];
    }

    /// <summary>Some sequences of activations.</summary>
    public static BlockActivationData Pick(BlockActivationData data, int[] places)
    {
        int size = data.Length * data.Width;
        float[] values = new float[places.Length * size];
        for (int i = 0; i < places.Length; i++) data.Sequences(places[i], 1).CopyTo(values.AsSpan(i * size));
        return new BlockActivationData(values, places.Length, data.Length, data.Width);
    }

    /// <summary>[B, D] of the last block's output [B, T, D], of unit length where the settings say so.</summary>
    public float[] Vectors(ReadOnlySpan<float> hidden, int batch)
    {
        int d = config.Width, length = hidden.Length / (batch * d);
        float[] vectors = new float[batch * d], normalized = new float[length * d];
        using Panel<float> panel = new Panel<float>().Reshape(length, d, d);
        for (int b = 0; b < batch; b++)
        {
            Normalize(hidden.Slice(b * length * d, length * d), normalized);
            panel.FromRowMajor(normalized);
            Span<float> vector = vectors.AsSpan(b * d, d);
            fixed (float* row = vector) SequencePooling.Forward(panel, 0, length, settings.Pooling, row, null);
            if (settings.Normalize) SentenceEncoder.Normalize(vector);
        }

        return vectors;
    }

    /// <summary>‖e − ê‖ / ‖e‖ of all vectors.</summary>
    public static double Error(float[] expected, float[] actual) => RbeCompressor.RelativeError(expected, actual);

    /// <summary>All figures of [B, D] vectors, the actual ones as pooled and not yet of unit length.</summary>
    public EmbeddingFigures Compare(float[] expected, float[] actual)
    {
        int d = config.Width, count = expected.Length / d;
        for (int i = 0; i < count && settings.Normalize; i++) SentenceEncoder.Normalize(actual.AsSpan(i * d, d));
        double[] cosines = [.. Enumerable.Range(0, count).Select(i => SentenceEncoder.Cosine(expected.AsSpan(i * d, d), actual.AsSpan(i * d, d)))];
        return new EmbeddingFigures(count, cosines.Average(), cosines.Min(), Error(expected, actual));
    }

    // The last LayerNorm, token by token.
    private void Normalize(ReadOnlySpan<float> tokens, float[] normalized)
    {
        fixed (float* x = tokens, y = normalized, scale = gamma, shift = beta)
        {
            for (int at = 0; at < tokens.Length; at += config.Width)
            {
                VectorKernel.Normalize(x + at, scale, shift, y + at, config.Width, (float)config.LayerNormEpsilon);
            }
        }
    }
}
