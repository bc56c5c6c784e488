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

/// <summary>How the places of the kept coefficients of a tile are chosen.</summary>
public enum SupportKind
{
    /// <summary>The largest by magnitude; needs weights to fit.</summary>
    TopK,

    /// <summary>Uniformly at random, from a seed.</summary>
    Random,

    /// <summary>The lowest frequencies, by u + v and then by u.</summary>
    LowFrequency,

    /// <summary>Runs of 4, 8 or 16 consecutive output frequencies at one input frequency; with weights to fit the runs of most energy, without
    /// at random from a seed. A run starts at a multiple of its length.</summary>
    Runs,
}

/// <summary>Which coefficients of a tile are kept.</summary>
/// <param name="Kind">The rule.</param>
/// <param name="RunLength">4, 8 or 16 for <see cref="SupportKind.Runs"/>, otherwise 1.</param>
/// <param name="Seed">Seed of random choices.</param>
public sealed record SupportRule(SupportKind Kind, int RunLength = 1, int Seed = 0)
{
    /// <summary>Largest coefficients by magnitude.</summary>
    public static SupportRule TopK { get; } = new(SupportKind.TopK);

    /// <summary>Lowest frequencies.</summary>
    public static SupportRule LowFrequency { get; } = new(SupportKind.LowFrequency);

    /// <summary>Random places.</summary>
    public static SupportRule Random(int seed = 0) => new(SupportKind.Random, 1, seed);

    /// <summary>Runs of <paramref name="length"/> = 4, 8 or 16.</summary>
    public static SupportRule Runs(int length, int seed = 0) => new(SupportKind.Runs, length, seed);
}

/// <summary>How the residual of every tile of a matrix is stored.</summary>
public abstract record RbeFormat
{
    private protected RbeFormat()
    {
    }

    /// <summary>K of B² coefficients at chosen places: trainable, fastest.</summary>
    /// <param name="coefficients">K, 1 .. B². With runs it is rounded to the nearest multiple of the run length. B² keeps everything (and
    /// needs no alphas). With alphas the six places of a DCT tile that are alphas under another name
    /// (<see cref="SupportSelector.BasisPlaces"/>) and the runs that cover one cannot be kept.</param>
    /// <param name="support">The places; <c>Runs(16)</c> when null.</param>
    public static SparseFormat Sparse(int coefficients, SupportRule? support = null) => new(coefficients, support ?? SupportRule.Runs(16));

    /// <summary>All coefficients at <paramref name="bits"/> = 3 .. 8 bits in groups of 64.</summary>
    public static QuantizedFormat Quantized(int bits) => new(bits);

    /// <summary>
    /// All coefficients trellis-coded at <paramref name="bits"/> = 2 .. 6 bits, the largest few exactly; 8 for <see cref="Quantized"/>(8)
    /// with these exact few.
    /// </summary>
    public static TrellisFormat Trellis(int bits) => new(bits);

    /// <summary>The literal record of 8 fp32 alphas and K (u16, u16, f32) coefficients.</summary>
    public static SeedFormat Seed(int coefficients) => new(coefficients);
}

/// <summary>K of B² coefficients at chosen places.</summary>
/// <param name="Coefficients">K.</param>
/// <param name="Support">The places.</param>
public sealed record SparseFormat(int Coefficients, SupportRule Support) : RbeFormat;

/// <summary>All coefficients at a few bits, in groups with a least-squares fp16 scale; optionally with a trainable sparse delta on top.
/// Levels are those of <see cref="QuantizedTiles.LevelsFor"/>; a group's scale is about its standard deviation and must lie in fp16's range: coefficients
/// below 1e-7 become zero, those above 2e5 saturate, and a matrix that loses by it is refused (<see cref="WeightRangeException"/>).</summary>
/// <param name="Bits">3 .. 8.</param>
public sealed record QuantizedFormat(int Bits) : RbeFormat
{
    /// <summary>Consecutive coefficients (along a coefficient row) that share a scale.</summary>
    public const int GroupSize = 64;

    /// <summary>
    /// A trainable sparse delta riding on the frozen quantised base, or null. TopK and Runs take the places where the base errs most; the values start as
    /// what the base leaves there, so that the delta also repairs the base.
    /// </summary>
    public SparseFormat? Delta { get; init; }

    /// <summary>The largest coefficients of a tile that are kept in fp16 beside the codes, 0 .. 64; those beyond 65504 saturate.</summary>
    public int Outliers { get; init; }
}

/// <summary>All coefficients trellis-coded with one least-squares fp16 scale a tile, after the largest ones are taken out; optionally with a trainable sparse
/// delta on top. Half a bit better than <see cref="QuantizedFormat"/> at the same error, and slower to make. The scale is about the tile's
/// standard deviation and must lie in fp16's range: coefficients below 1e-7 become zero, those above 2e5 saturate, and a matrix that loses by it is refused
/// (<see cref="WeightRangeException"/>).</summary>
/// <param name="Bits">2 .. 6, or 8 for codes of 8 bits in groups of 64 instead of a trellis.</param>
public sealed record TrellisFormat(int Bits) : RbeFormat
{
    /// <summary>The most outliers a tile may have.</summary>
    public const int MostOutliers = 64;

    /// <summary>
    /// The largest coefficients of a tile that are kept in fp16 beside the codes, 0 .. 64; those beyond 65504 saturate. The trellis reaches 3.7 standard
    /// deviations, tiles of trained weights have coefficients at 9.
    /// </summary>
    public int Outliers { get; init; } = 8;

    /// <summary>A trainable sparse delta riding on the frozen base, or null; as <see cref="QuantizedFormat.Delta"/>.</summary>
    public SparseFormat? Delta { get; init; }
}

/// <summary>The literal record: 8 fp32 alphas and the K largest coefficients as (u16 row, u16 column, f32 value). The alphas
/// are fitted first, the coefficients are the largest of what they leave; both are always there, whatever <see cref="RbeOptions.Alphas"/> says.</summary>
/// <param name="Coefficients">K.</param>
public sealed record SeedFormat(int Coefficients) : RbeFormat;

/// <summary>Everything that decides how a matrix is compressed.</summary>
public sealed record RbeOptions
{
    /// <summary>No compression: every weight is a coefficient, and comes back bit for bit. For measuring against, and for models to be trained whole.</summary>
    public static RbeOptions Dense { get; } = new() { Tile = 64, Transform = TileTransform.None, Format = RbeFormat.Sparse(64 * 64), Alphas = false };

    /// <summary>Tile edge B: 32, 64 or 128.</summary>
    public int Tile { get; init; } = 64;

    /// <summary>Transform of the residual.</summary>
    public TileTransform Transform { get; init; } = TileTransform.Dct;

    /// <summary>Storage of the residual.</summary>
    public RbeFormat Format { get; init; } = RbeFormat.Sparse(300);

    /// <summary>Whether a tile has its eight alphas. A format that keeps all B² sparse coefficients never has them.</summary>
    public bool Alphas { get; init; } = true;
}
