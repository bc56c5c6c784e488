using System.Numerics;
using RbeMl.Codec;
using RbeMl.Numerics;

namespace RbeMl.Kernels;

/// <summary>
/// The 1-D transform of every lane of a block: forward is the adjoint S' of synthesis, inverse is synthesis S, so that W x = S C (S' x). For orthonormal
/// transforms each undoes the other; for biorthogonal ones it does not. x and y are <c>[tile][width]</c> and may be the same.
/// </summary>
internal static unsafe class BlockTransform
{
    /// <summary>y = S' x.</summary>
    public static void Forward<T>(TileTransform transform, int tile, T* x, T* y, int width)
        where T : unmanaged, IFloatingPointIeee754<T>
    {
        if (typeof(T) != typeof(float)) ReferenceBlockTransform.Forward(transform, tile, x, y, width);
        else Wide.Run(new ForwardWork(transform, tile, (float*)x, (float*)y, width));
    }

    /// <summary>y = S x, the adjoint of forward.</summary>
    public static void Inverse<T>(TileTransform transform, int tile, T* x, T* y, int width)
        where T : unmanaged, IFloatingPointIeee754<T>
    {
        if (typeof(T) != typeof(float)) ReferenceBlockTransform.Inverse(transform, tile, x, y, width);
        else Wide.Run(new InverseWork(transform, tile, (float*)x, (float*)y, width));
    }

    internal readonly struct ForwardWork(TileTransform transform, int tile, float* x, float* y, int width) : ILaneWork
    {
        public void Run<TLanes>()
            where TLanes : unmanaged, ILanes<TLanes>
        {
            Check(tile);
            switch (transform)
            {
                case TileTransform.Dct: BlockTransformDct.Forward<TLanes>(tile, x, y, width); break;
                case TileTransform.WalshHadamard: BlockTransformHadamard.Apply<TLanes>(tile, x, y, width); break;
                case TileTransform.Haar: BlockTransformHaar.Forward<TLanes>(tile, x, y, width); break;
                case TileTransform.Cdf97: BlockTransformCdf97.Forward<TLanes>(tile, x, y, width); break;
                case TileTransform.None: Copy(tile, x, y, width); break;
                default: throw new InvalidSettingException("transform", transform, "this version has no kernel for it.");
            }
        }
    }

    internal readonly struct InverseWork(TileTransform transform, int tile, float* x, float* y, int width) : ILaneWork
    {
        public void Run<TLanes>()
            where TLanes : unmanaged, ILanes<TLanes>
        {
            Check(tile);
            switch (transform)
            {
                case TileTransform.Dct: BlockTransformDct.Inverse<TLanes>(tile, x, y, width); break;
                case TileTransform.WalshHadamard: BlockTransformHadamard.Apply<TLanes>(tile, x, y, width); break; // symmetric
                case TileTransform.Haar: BlockTransformHaar.Inverse<TLanes>(tile, x, y, width); break;
                case TileTransform.Cdf97: BlockTransformCdf97.Inverse<TLanes>(tile, x, y, width); break;
                case TileTransform.None: Copy(tile, x, y, width); break;
                default: throw new InvalidSettingException("transform", transform, "this version has no kernel for it.");
            }
        }
    }

    private static void Copy(int tile, float* x, float* y, int width)
    {
        if (x != y) new ReadOnlySpan<float>(x, tile * width).CopyTo(new Span<float>(y, tile * width));
    }

    private static void Check(int tile)
    {
        if (tile is not (32 or 64 or 128)) throw new InvalidSettingException("tile", tile, "use 32, 64 or 128.");
    }
}
