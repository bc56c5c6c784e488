namespace RbeMl.Codec;

/// <summary>The 2-D transform of a tile's residual: <c>W = S C S'</c>, orthonormal unless it says otherwise.</summary>
public enum TileTransform
{
    /// <summary>DCT-II (orthonormal).</summary>
    Dct,

    /// <summary>Walsh-Hadamard, natural order, scaled to be orthonormal.</summary>
    WalshHadamard,

    /// <summary>Haar wavelet, all levels.</summary>
    Haar,

    /// <summary>No transform: coefficients are the weights themselves.</summary>
    None,

    /// <summary>The biorthogonal 9/7 wavelet of Cohen, Daubechies and Feauveau, symmetric at the edges of a tile, down to 4 x 4. Not
    /// orthonormal: fits minimise the error of the weights, and white weights lose a little by it.</summary>
    Cdf97,
}
