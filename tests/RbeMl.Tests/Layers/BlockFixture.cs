using System.Numerics;
using RbeMl.Codec;
using RbeMl.Kernels;
using RbeMl.Layers;
using RbeMl.Tests.Support;

namespace RbeMl.Tests.Layers;

/// <summary>A small block with random weights, input and output gradient.</summary>
internal sealed class BlockFixture<T> : IDisposable
    where T : unmanaged, IFloatingPointIeee754<T>
{
    public BlockFixture(TransformerConfig config, RbeOptions options, int batch, int length, int threads = 1, int seed = 1)
    {
        Config = config;
        Batch = batch;
        Length = length;
        int d = config.Width, f = config.HiddenWidth;
        DenseBlockWeights dense = new()
        {
            Query = Numbers.Normal(d * d, seed + 1, 1 / Math.Sqrt(d)),
            Key = Numbers.Normal(d * d, seed + 2, 1 / Math.Sqrt(d)),
            Value = Numbers.Normal(d * d, seed + 3, 1 / Math.Sqrt(d)),
            Output = Numbers.Normal(d * d, seed + 4, 1 / Math.Sqrt(d)),
            UpProjection = Numbers.Normal(f * d, seed + 5, 1 / Math.Sqrt(d)),
            DownProjection = Numbers.Normal(d * f, seed + 6, 1 / Math.Sqrt(f)),
            Vectors = new BlockVectors
            {
                QueryBias = Numbers.Normal(d, seed + 7, 0.1),
                KeyBias = Numbers.Normal(d, seed + 8, 0.1),
                ValueBias = Numbers.Normal(d, seed + 9, 0.1),
                OutputBias = Numbers.Normal(d, seed + 10, 0.1),
                UpProjectionBias = Numbers.Normal(f, seed + 11, 0.1),
                DownProjectionBias = Numbers.Normal(d, seed + 12, 0.1),
                Gamma1 = [.. Numbers.Normal(d, seed + 13, 0.2).Select(v => 1 + v)],
                Beta1 = Numbers.Normal(d, seed + 14, 0.2),
                Gamma2 = [.. Numbers.Normal(d, seed + 15, 0.2).Select(v => 1 + v)],
                Beta2 = Numbers.Normal(d, seed + 16, 0.2),
            },
        };
        Weights = BlockWeights.Compress(dense, config, options);
        Block = new RbeTransformerBlock<T>(config, Weights, layer: 3);
        Workspace = new Workspace<T>(threads);
        X = Convert(Numbers.Normal(batch * length * d, seed + 17));
        Dy = Convert(Numbers.Normal(batch * length * d, seed + 18));
    }

    public TransformerConfig Config { get; }

    public int Batch { get; }

    public int Length { get; }

    public BlockWeights Weights { get; }

    public RbeTransformerBlock<T> Block { get; }

    public Workspace<T> Workspace { get; }

    public T[] X { get; }

    public T[] Dy { get; }

    public static T[] Convert(float[] values) => [.. values.Select(T.CreateTruncating)];

    /// <summary>A cache that already holds <paramref name="past"/> tokens of other activations.</summary>
    public LayerKvCache<T> CacheWith(int past, KvFormat format = KvFormat.F32)
    {
        LayerKvCache<T> cache = new(Batch, Config.Heads, Config.HeadWidth, past + Length + 8, format);
        if (past > 0)
        {
            Block.Forward(Convert(Numbers.Normal(Batch * past * Config.Width, 99)), Batch, past, new ForwardOptions<T> { Cache = cache }, null, Workspace);
        }

        return cache;
    }

    /// <summary>Masks that hide some past and some present tokens, with one row of the additive mask at -infinity for single keys.</summary>
    public (byte[] Padding, T[] Additive) Masks(int past)
    {
        int keys = past + Length;
        byte[] padding = new byte[Batch * keys];
        Array.Fill(padding, (byte)1);
        for (int b = 0; b < Batch; b++) padding[b * keys + (3 * b + 1) % keys] = 0;
        T[] additive = Convert(Numbers.Normal(Batch * Length * keys, 98, 0.5));
        for (int i = 5; i < additive.Length; i += 11) additive[i] = T.NegativeInfinity;
        return (padding, additive);
    }

    /// <summary>sum of y * dy, the scalar that the gradients belong to.</summary>
    public double Objective(ForwardOptions<T>? options)
    {
        T[] y = Block.Forward(X, Batch, Length, options, null, Workspace).Output;
        double sum = 0;
        for (int i = 0; i < y.Length; i++) sum += double.CreateChecked(y[i]) * double.CreateChecked(Dy[i]);
        return sum;
    }

    /// <summary>Output, input gradient and parameter gradients of one forward and backward.</summary>
    public (T[] Y, T[] Dx, ParameterVector<T> Gradients) Run(ForwardOptions<T>? options, CheckpointPolicy policy = CheckpointPolicy.None)
    {
        using BlockContext<T> context = new(policy);
        ParameterVector<T> gradients = Block.Parameters.CreateLike();
        T[] y = Block.Forward(X, Batch, Length, options, context, Workspace).Output;
        T[] dx = Block.Backward(Dy, context, gradients, Workspace);
        return (y, dx, gradients);
    }

    public void Dispose()
    {
        Workspace.Dispose();
        Block.Parameters.Dispose();
    }
}
