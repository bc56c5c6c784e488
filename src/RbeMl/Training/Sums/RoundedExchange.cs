using System.Runtime.InteropServices;
using RbeMl.Memory;
using RbeMl.Numerics;

namespace RbeMl.Training;

/// <summary>
/// The sum of the ranks' gradients, rounded to bf16 on the wire with error feedback (Seide et al., "1-bit stochastic gradient descent"; Karimireddy et
/// al., "Error feedback fixes SignSGD"): what a rank sends is its gradient with what rounding took from it before, and the owner of a slice, who adds up what
/// all send in the order of ranks, does the same with the sum. Every rank gets the same rounded sum.
/// </summary>
internal sealed unsafe class RoundedExchange : IGradientExchange
{
    private readonly ICollective _ranks;
    private readonly VectorShares _shares;
    private readonly NativeBuffer<float> _left, _leftOfSums; // what rounding took: of this rank's gradients, and of the sums of its slices
    private readonly NativeBuffer<ushort> _sent, _received;
    private readonly NativeBuffer<float> _sum, _term; // of a slice
    private readonly int[] _slices, _own; // bytes
    private readonly int _slice; // the most elements of one

    /// <summary>Prepares it.</summary>
    /// <param name="ranks">The ranks.</param>
    /// <param name="shares">What each rank adds up.</param>
    public RoundedExchange(ICollective ranks, VectorShares shares)
    {
        (_ranks, _shares) = (ranks, shares);
        (_slices, _own) = (new int[ranks.Size], new int[ranks.Size]);
        int slice = _slice = shares.MostOfSlice;
        _left = new NativeBuffer<float>(shares.Length);
        _leftOfSums = new NativeBuffer<float>((long)shares.Parts * slice);
        _sent = new NativeBuffer<ushort>(shares.MostOfPart);
        _received = new NativeBuffer<ushort>((long)ranks.Size * slice);
        (_sum, _term) = (new NativeBuffer<float>(slice), new NativeBuffer<float>(slice));
    }

    /// <summary>Bytes of the memory that it works in.</summary>
    public static long BytesOf(VectorShares shares)
    {
        long slice = shares.MostOfSlice;
        return (sizeof(float) * (shares.Length + ((shares.Parts + 2) * slice))) + (sizeof(ushort) * (shares.MostOfPart + (shares.Size * slice)));
    }

    /// <inheritdoc/>
    public long BytesSent => Bytes(_ranks.Rank, _shares);

    /// <summary>Bytes that a rank sends in a step.</summary>
    public static long Bytes(int rank, VectorShares shares) => sizeof(ushort) * Enumerable.Range(0, shares.Parts).Sum(part =>
    {
        long own = shares.Slice(part, rank).Count;
        return shares.Part(part).Count - own + (own * (shares.Size - 1));
    });

    /// <inheritdoc/>
    public void Sum(GradientTree<float> gradients)
    {
        for (int part = 0; part < _shares.Parts; part++)
        {
            (long first, int count) = _shares.Part(part);
            (int begins, int own) = _shares.Slice(part, _ranks.Rank);
            for (int rank = 0; rank < _slices.Length; rank++)
            {
                _slices[rank] = sizeof(ushort) * _shares.Slice(part, rank).Count;
                _own[rank] = sizeof(ushort) * own;
            }

            float* gradient = gradients.Root.Pointer + first, sum = _sum.Pointer;
            Span<byte> sent = MemoryMarshal.AsBytes(new Span<ushort>(_sent.Pointer, count));
            BFloat16Kernel.RoundWithError(gradient, _left.Pointer + first, _sent.Pointer, count);
            _ranks.AllToAll(sent, _slices, MemoryMarshal.AsBytes(new Span<ushort>(_received.Pointer, own * _own.Length)), _own);
            BFloat16Kernel.Expand(_received.Pointer, sum, own);
            for (int rank = 1; rank < _own.Length; rank++)
            {
                BFloat16Kernel.Expand(_received.Pointer + ((long)rank * own), _term.Pointer, own);
                Elementwise.Add(sum, _term.Pointer, sum, own);
            }

            BFloat16Kernel.RoundWithError(sum, _leftOfSums.Pointer + ((long)part * _slice), _sent.Pointer + begins, own);
            _ranks.AllGather(sent, _slices);
            BFloat16Kernel.Expand(_sent.Pointer, gradient, count);
        }
    }

    /// <inheritdoc/>
    public void Forget()
    {
        _left.Clear();
        _leftOfSums.Clear();
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        foreach (NativeBuffer<float> buffer in (NativeBuffer<float>[])[_left, _leftOfSums, _sum, _term]) buffer.Dispose();
        _sent.Dispose();
        _received.Dispose();
    }
}
