using System.Runtime.Intrinsics.X86;
using RbeMl.Codec;

namespace RbeMl.Tests.Support;

/// <summary>What products of vectors with quantised codes add to the rounding of panels, where they are integers of 16 bits.</summary>
internal static class VectorRounding
{
    private const int ProductsInTurn = 4; // of a block

    /// <summary>Relative error of the output of blocks, whose products' errors know nothing of each other.</summary>
    public static double Of(RbeFormat format, int blocks = 1) =>
        format is QuantizedFormat && Avx2.IsSupported && !Avx512BW.IsSupported ? Math.Sqrt(ProductsInTurn * blocks) * PairLevels.ProductError : 0;
}
