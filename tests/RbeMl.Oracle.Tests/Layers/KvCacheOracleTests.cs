using System.Numerics;
using RbeMl.Layers;
using RbeMl.Oracle.Tests.Reference;
using RbeMl.Oracle.Tests.Support;
using Xunit.Abstractions;
using static TorchSharp.torch;

namespace RbeMl.Oracle.Tests.Layers;

/// <summary>
/// Stacked blocks with a KV cache: prefill and ten single-token steps give, for every sequence, the rows of the full computation, ours and
/// torch's.
/// </summary>
public abstract class KvCacheOracleTests<T> : OracleTest
    where T : unmanaged, IFloatingPointIeee754<T>
{
    private const int Batch = 2, Prefill = 7, Steps = 10, Length = Prefill + Steps, Layers = 3;

    private protected KvCacheOracleTests(ITestOutputHelper output)
        : base(output)
    {
    }

    public static TheoryData<string> Cases => ["runs of 4", "largest, no alphas", "4 bits and delta", "ragged tiles and chunks"];

    [Theory]
    [MemberData(nameof(Cases))]
    public void StepsAreRowsOfTheFullComputation(string name)
    {
        BlockCase c = BlockCase.All[name] with { Batch = Batch, Length = Length };
        int width = c.Width;
        BlockWeights[] weights =
            [.. Enumerable.Range(0, Layers).Select(i => BlockWeights.Compress(DenseBlock.Lively(width, c.Hidden, 1000 * i).ToLibrary(), c.Config, c.Options))];
        RbeTransformerBlock<T>[] blocks = [.. weights.Select((w, i) => new RbeTransformerBlock<T>(c.Config, w, i))];
        LayerKvCache<T>[] caches = [.. blocks.Select(_ => new LayerKvCache<T>(Batch, c.Config.Heads, c.Config.HeadWidth, Length))];
        double[] input = Numbers.Normal(Batch * Length * width, 5);
        using Workspace<T> workspace = new(1);

        double[] torchRows;
        using (no_grad())
        {
            Tensor x = Tensors.From(input, Batch, Length, width);
            foreach (BlockWeights w in weights) x = TorchGpt2.Block(x, TorchRbe.Block(w, float64), new TorchBlockOptions(c.Config.Heads) { Gelu = c.Gelu });
            torchRows = x.ToDoubles();
        }

        double[] fullRows = Run(input, Length, null);
        CheckRows("full computation against torch", torchRows, fullRows, 0, Length);
        double[] first = Run(Rows(input, 0, Prefill), Prefill, caches);
        CheckRows("prefill against torch", Rows(torchRows, 0, Prefill), first, 0, Prefill);
        for (int t = Prefill; t < Length; t++)
        {
            double[] step = Run(Rows(input, t, 1), 1, caches);
            CheckRows($"step {t} against torch", Rows(torchRows, t, 1), step, t, 1);
            CheckRows($"step {t} against the full computation", Rows(fullRows, t, 1), step, t, 1);
        }

        Assert.All(caches, cache => Assert.Equal(Length, cache.Length));
        foreach (LayerKvCache<T> cache in caches) cache.Dispose();

        double[] Run(double[] rows, int length, LayerKvCache<T>[]? with)
        {
            T[] x = Numbers.Convert<double, T>(rows);
            for (int i = 0; i < Layers; i++) x = blocks[i].Forward(x, Batch, length, new ForwardOptions<T> { Cache = with?[i] }, null, workspace).Output;
            return Numbers.Convert<T, double>(x);
        }

        double[] Rows(double[] all, int from, int count)
        {
            int length = all.Length / Batch / width;
            return [.. Enumerable.Range(0, Batch).SelectMany(b => all.AsSpan((b * length + from) * width, count * width).ToArray())];
        }

        // The worst row of all sequences. Demanded are 1e-5; the rows pass three blocks, each some ten sums of at most 128 terms. Steps of codes without
        // AVX-512 have four products a block in integers of 16 bits.
        void CheckRows(string what, double[] expected, double[] actual, int from, int count)
        {
            double worst = Enumerable.Range(0, Batch * count)
                .Max(r => Numbers.RelativeError<double, double>(expected.AsSpan(r * width, width), actual.AsSpan(r * width, width)));
            double rounding = count == 1 && typeof(T) == typeof(float) ? VectorRounding.Of(c.Options.Format, Layers) : 0;
            Check($"{what}, rows {from} to {from + count - 1}", worst, rounding + Math.Min(1e-5, 10 * Numbers.Tolerance<T>(128)));
        }
    }
}

public sealed class KvCacheOracleFloat(ITestOutputHelper output) : KvCacheOracleTests<float>(output);

public sealed class KvCacheOracleDouble(ITestOutputHelper output) : KvCacheOracleTests<double>(output);
