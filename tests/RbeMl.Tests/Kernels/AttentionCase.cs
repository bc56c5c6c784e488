using System.Numerics;
using RbeMl.Kernels;
using RbeMl.Numerics;
using RbeMl.Tests.Support;

namespace RbeMl.Tests.Kernels;

/// <summary>One attention problem with its data, for float (in guarded memory) or double.</summary>
internal sealed unsafe class AttentionCase<T> : IDisposable
    where T : unmanaged, IFloatingPointIeee754<T>
{
    private readonly List<IDisposable> _buffers = [];

    internal AttentionCase(AttentionShape shape, int seed = 1)
    {
        int qs = (shape.Queries + 15) / 16 * 16 + shape.ExtraStride, ks = (shape.Keys + 15) / 16 * 16 + shape.ExtraStride;
        Q = Matrix(shape.HeadWidth, shape.Queries, qs, seed);
        K = Matrix(shape.HeadWidth, shape.Keys, ks, seed + 1);
        V = Matrix(shape.HeadWidth, shape.Keys, ks, seed + 2);
        OutputGradient = Matrix(shape.HeadWidth, shape.Queries, qs, seed + 3);
        Output = Garbage(shape.HeadWidth * qs);
        QGradient = Garbage(shape.HeadWidth * qs);
        KGradient = Garbage(shape.HeadWidth * ks);
        VGradient = Garbage(shape.HeadWidth * ks);
        RowStatistics = Garbage(2 * qs);
        Weights = Garbage(shape.Queries * shape.Keys);
        Mask = Garbage(shape.Queries * shape.Keys);
        float[] mask = Numbers.Normal(shape.Queries * shape.Keys, seed + 4);
        for (int i = 0; i < mask.Length; i++)
        {
            // Some entries hide, in one query all of them, and in another those of the first 64 keys.
            bool hide = i % 7 == 3 || i / shape.Keys == 2 || (i / shape.Keys == 5 && i % shape.Keys < 64);
            Mask.Pointer[i] = hide ? T.NegativeInfinity : T.CreateTruncating(mask[i]);
        }

        GuardedBuffer<byte> padding = Own(new GuardedBuffer<byte>(shape.Keys));
        for (int s = 0; s < shape.Keys; s++) padding.Pointer[s] = (byte)(s % 5 == 1 || s < shape.HiddenKeys ? 0 : 1);
        Problem = new AttentionProblem<T>
        {
            HeadWidth = shape.HeadWidth,
            Queries = shape.Queries,
            Keys = shape.Keys,
            QueryStride = qs,
            KeyStride = ks,
            Causal = shape.Causal,
            Scale = T.CreateTruncating((float)(1 / Math.Sqrt(shape.HeadWidth))),
            Q = Q.Pointer,
            K = K.Pointer,
            V = V.Pointer,
            Output = Output.Pointer,
            RowStatistics = RowStatistics.Pointer,
            KeyPadding = shape.Padding ? padding.Pointer : null,
            AdditiveMask = shape.Additive ? Mask.Pointer : null,
            Weights = shape.Weights ? Weights.Pointer : null,
            Dropout = shape.Dropout,
            DropoutKey = new RandomKey(42, 5, 1, DropoutSite.Attention),
            DropoutRow = 12345,
            OutputGradient = OutputGradient.Pointer,
            QGradient = QGradient.Pointer,
            KGradient = KGradient.Pointer,
            VGradient = VGradient.Pointer,
        };
    }

    internal AttentionProblem<T> Problem { get; }

    internal GuardedBuffer<T> Q { get; }

    internal GuardedBuffer<T> K { get; }

    internal GuardedBuffer<T> V { get; }

    internal GuardedBuffer<T> Output { get; }

    internal GuardedBuffer<T> RowStatistics { get; }

    internal GuardedBuffer<T> Weights { get; }

    internal GuardedBuffer<T> Mask { get; }

    internal GuardedBuffer<T> OutputGradient { get; }

    internal GuardedBuffer<T> QGradient { get; }

    internal GuardedBuffer<T> KGradient { get; }

    internal GuardedBuffer<T> VGradient { get; }

    public void Dispose() => _buffers.ForEach(b => b.Dispose());

    private GuardedBuffer<U> Own<U>(GuardedBuffer<U> buffer)
        where U : unmanaged
    {
        _buffers.Add(buffer);
        return buffer;
    }

    private GuardedBuffer<T> Garbage(int count)
    {
        GuardedBuffer<T> buffer = Own(new GuardedBuffer<T>(count));
        buffer.Span.Fill(T.NaN);
        return buffer;
    }

    private GuardedBuffer<T> Matrix(int rows, int columns, int stride, int seed)
    {
        GuardedBuffer<T> buffer = Own(new GuardedBuffer<T>(rows * stride));
        float[] values = Numbers.Normal(rows * columns, seed);
        for (int i = 0; i < values.Length; i++) buffer.Pointer[i / columns * stride + i % columns] = T.CreateTruncating(values[i]);
        return buffer;
    }
}

/// <summary>What an <see cref="AttentionCase{T}"/> looks like.</summary>
internal sealed record AttentionShape(
    int HeadWidth, int Queries, int Keys, bool Causal, bool Padding = false, bool Additive = false, float Dropout = 0, bool Weights = false,
    int ExtraStride = 0, int HiddenKeys = 0);
