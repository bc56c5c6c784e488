using RbeMl.Codec;
using RbeMl.Kernels;
using RbeMl.Layers;
using RbeMl.Memory;
using static TorchSharp.torch;

namespace RbeMl.Benchmarks;

/// <summary>
/// One new token through twelve blocks of GPT-2 small with keys and values of the past in a cache. Twelve different layers do not stay in
/// the near caches, so that both sides read their weights from memory as in generation. Torch writes the new key and value into a cache of its own.
/// </summary>
internal static class DecodeBenchmark
{
    private const int Layers = 12;
    private static readonly TransformerConfig s_config = new() { Width = 768, Heads = 12, Layers = Layers };

    public static void Run(Comparison comparison)
    {
        foreach (int past in (int[])[128, 1024 - 1])
        {
            Case(comparison, past, "runs16", "K=300", RbeFormat.Sparse(300, SupportRule.Runs(16)));
            Case(comparison, past, "runs16-compact", "K=300", RbeFormat.Sparse(300, SupportRule.Runs(16)), WeightPrecision.Float32);
            Case(comparison, past, "runs16-bfloat16", "K=300", RbeFormat.Sparse(300, SupportRule.Runs(16)), WeightPrecision.BFloat16);
            Case(comparison, past, "random", "K=300", RbeFormat.Sparse(300, SupportRule.Random(1)));
            Case(comparison, past, "random-compact", "K=300", RbeFormat.Sparse(300, SupportRule.Random(1)), WeightPrecision.Float32);
            Case(comparison, past, "random-bfloat16", "K=300", RbeFormat.Sparse(300, SupportRule.Random(1)), WeightPrecision.BFloat16);
            foreach (int bits in (int[])[3, 4, 5, 6, 8]) Case(comparison, past, $"quantized{bits}", $"{bits}.25 bits", RbeFormat.Quantized(bits));
            Case(comparison, past, "trellis4", "4 bits", RbeFormat.Trellis(4));
            Case(comparison, past, "trellis4-int8", "8.25 bits", RbeFormat.Trellis(4), WeightPrecision.Int8);
        }
    }

    private static void Case(Comparison comparison, int past, string format, string size, RbeFormat rule, WeightPrecision? precision = null)
    {
        string name = $"gpt2-small/decode-{past + 1}/{format}";
        if (!comparison.Wants(name)) return;
        using TorchSharp.DisposeScope tensors = TorchSharp.torch.NewDisposeScope();
        using IDisposable mode = inference_mode();
        RbeOptions options = new() { Format = rule };
        int d = s_config.Width, heads = s_config.Heads;
        BlockWeights[] weights = [.. Enumerable.Range(0, Layers).Select(l => Weights(options, l))];
        RbeTransformerBlock<float>[] blocks = [.. weights.Select((w, l) => Block(w, l, precision))];
        DenseBlock[] dense = [.. blocks.Select(block => new DenseBlock(block.GetCompressedWeights(), heads))];
        using Workspace<float> workspace = new(comparison.Threads);
        LayerKvCache<float>[] caches = [.. blocks.Select(_ => new LayerKvCache<float>(1, heads, s_config.HeadWidth, past + 1))];
        float[] rows = Normal(past * d, 1), token = Normal(d, 2);
        using Panel<float> x = new(), y = new();

        // The past of both sides is the same activations, layer by layer.
        Tensor history = tensor(rows).reshape(1, past, d), input = tensor(token).reshape(1, 1, d);
        (Tensor Keys, Tensor Values)[] denseCaches = new (Tensor, Tensor)[Layers];
        for (int l = 0; l < Layers; l++)
        {
            (denseCaches[l].Keys, denseCaches[l].Values) = (zeros(1, heads, past + 1, d / heads), zeros(1, heads, past + 1, d / heads));
            dense[l].Fill(history, denseCaches[l].Keys, denseCaches[l].Values);
            blocks[l].Forward(rows, 1, past, new ForwardOptions<float> { Cache = caches[l] }, null, workspace);
        }

        // Five products a layer, the longest sum over the hidden features.
        ForwardOptions<float>[] calls = [.. caches.Select(cache => new ForwardOptions<float> { Cache = cache })];
        float[] result = new float[d];
        Rbe();
        (Layers % 2 == 0 ? x : y).ToRowMajor(result);
        Agreement.Require($"{name}: output", TorchOutput().ToDoubles(), result, Agreement.Tolerance(s_config.HiddenWidth, 5 * Layers));
        comparison.Run(name, $"{Layers} layers, {past} tokens before, {size} {format}", Torch, Rbe);
        foreach (LayerKvCache<float> cache in caches) cache.Dispose();
        foreach (RbeTransformerBlock<float> block in blocks) block.Dispose();

        void Rbe()
        {
            x.Reshape(1, d, blocks[0].PaddedWidth).FromRowMajor(token);
            y.Reshape(1, d, blocks[0].PaddedWidth);
            for (int l = 0; l < Layers; l++)
            {
                caches[l].Truncate(past);
                blocks[l].Forward(l % 2 == 0 ? x : y, l % 2 == 0 ? y : x, 1, 1, calls[l], null, workspace);
            }
        }

        Tensor TorchOutput()
        {
            Tensor stream = input;
            for (int l = 0; l < Layers; l++) stream = dense[l].Decode(stream, denseCaches[l].Keys, denseCaches[l].Values, past);
            return stream;
        }

        void Torch()
        {
            using TorchSharp.DisposeScope scope = TorchSharp.torch.NewDisposeScope();
            TorchOutput();
        }
    }

    private static RbeTransformerBlock<float> Block(BlockWeights weights, int layer, WeightPrecision? precision)
    {
        RbeTransformerBlock<float> block = new(s_config, weights, layer);
        if (precision is not { } given) return block;
        using (block) return block.ToInference(given);
    }

    private static BlockWeights Weights(RbeOptions options, int layer) => options.Format is SparseFormat
        ? BlockWeights.CreateRandom(s_config, options, (ulong)layer + 1)
        : BlockWeights.Compress(DenseBlockWeights.Gpt2Initialization(s_config, layer + 1), s_config, options);

    private static float[] Normal(int count, int seed)
    {
        Random random = new(seed);
        return [.. Enumerable.Range(0, count)
            .Select(_ => (float)(Math.Sqrt(-2 * Math.Log(1 - random.NextDouble())) * Math.Cos(2 * Math.PI * random.NextDouble())))];
    }
}
