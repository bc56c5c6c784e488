using RbeMl.Layers;

namespace RbeMl.Tests.Support;

/// <summary>
/// fp32 bytes of training one dense pre-LN GPT-2 block, counted from its tensors: the yardstick of memory savings. N = B T tokens, D width,
/// F hidden width, H heads.
/// </summary>
/// <param name="Weights">Six matrices and their vectors.</param>
/// <param name="Gradients">The same once more.</param>
/// <param name="Optimizer">Two moments.</param>
/// <param name="Activations">Activations at their peak.</param>
internal readonly record struct DenseBlockBytes(long Weights, long Gradients, long Optimizer, long Activations)
{
    public long Total => Weights + Gradients + Optimizer + Activations;

    /// <summary>
    /// Every tensor of the forward stays until the backward is done, softmax over a score matrix, as an autograd graph of elementary operations has it:
    /// x, LN1, q, k, v, attention, its projection, middle, LN2, contraction, y (11 of N D), hidden and GELU (2 of N F), scores and probabilities
    /// (2 of B H T²); in the backward also dy and the gradients of GELU and hidden layer.
    /// </summary>
    public static DenseBlockBytes StoresEverything(TransformerConfig config, int batch, int length)
    {
        long tokens = (long)batch * length;
        return Of(config, (12 * tokens * config.Width) + (4 * tokens * config.HiddenWidth) + (2L * batch * config.Heads * length * length));
    }

    /// <summary>
    /// Streaming softmax, every tensor freed after its last use, every elementwise step in place. At the peak, the backward of GELU: x, LN1, q, k, v,
    /// attention, middle, LN2, dy (9 of N D), hidden layer, GELU's output, its gradient (3 of N F).
    /// </summary>
    public static DenseBlockBytes PerfectLiveness(TransformerConfig config, int batch, int length)
    {
        long tokens = (long)batch * length;
        return Of(config, (9 * tokens * config.Width) + (3 * tokens * config.HiddenWidth));
    }

    private static DenseBlockBytes Of(TransformerConfig config, long activations)
    {
        long d = config.Width, f = config.HiddenWidth, weights = sizeof(float) * ((4 * d * d) + (2 * d * f) + (9 * d) + f);
        return new DenseBlockBytes(weights, weights, 2 * weights, sizeof(float) * activations);
    }
}
