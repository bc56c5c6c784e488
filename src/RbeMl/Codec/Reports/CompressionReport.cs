namespace RbeMl.Codec;

/// <summary>
/// What a compressed matrix costs and how well it keeps the original. Counted bits: fp32 alphas and coefficients, codes, fp16 scales,
/// outliers at 32 bits, and places at log2(B²) bits a run or a bitmap of B² / run length bits, whichever is less; places that follow from a
/// rule and its seed cost 32 bits a matrix, a full support nothing. The literal record counts 32 + 8 K bytes a tile.
/// </summary>
public sealed record CompressionReport
{
    private const int SeedBits = 32;

    private CompressionReport()
    {
    }

    /// <summary>Weights of the matrix: rows x columns.</summary>
    public required long Weights { get; init; }

    /// <summary>Stored bits, everything counted.</summary>
    public required long Bits { get; init; }

    /// <summary>‖W − Ŵ‖ / ‖W‖ over the matrix.</summary>
    public required double RelativeError { get; init; }

    /// <summary>The same for every tile's cells inside the matrix, row-major.</summary>
    public required IReadOnlyList<double> TileErrors { get; init; }

    /// <summary>Bits a weight, share saved and error in one line.</summary>
    public override string ToString() => string.Create(
        System.Globalization.CultureInfo.InvariantCulture,
        $"{Weights} weights, {BitsPerWeight:F2} bits a weight, {100 * SavedFraction:F1} % saved, relative error {RelativeError:G3}");

    /// <summary>Stored bytes.</summary>
    public long Bytes => (Bits + 7) / 8;

    /// <summary>Stored bits for each weight.</summary>
    public double BitsPerWeight => (double)Bits / Weights;

    /// <summary>2^-R: the least relative error that R = <see cref="BitsPerWeight"/> bits can give on independent Gaussian weights (Shannon).</summary>
    public double ShannonFloor => Math.Pow(2, -BitsPerWeight);

    /// <summary>Share of the fp32 size that is saved.</summary>
    public double SavedFraction => 1 - BitsPerWeight / 32;

    /// <summary>
    /// Whether the error is below <see cref="ShannonFloor"/>. Structured weights may do that; for white Gaussian weights it would be a fault in the
    /// codec or in the count of bits, see <see cref="BeatsShannonGuard"/>.
    /// </summary>
    public bool BeatsGaussianBound => RelativeError < ShannonFloor;

    /// <summary>
    /// The least error that these bits can give on these very weights (<see cref="ShannonGuard"/>). Measured only where the error is below
    /// <see cref="ShannonFloor"/>, and that floor otherwise: then no question arises.
    /// </summary>
    public required double GuardFloor { get; init; }

    /// <summary>Whether the error is below <see cref="GuardFloor"/>: a defect of the codec or of the count of bits, whatever the weights.</summary>
    public bool BeatsShannonGuard => RelativeError < GuardFloor;

    /// <summary>Fails if the error is below what the bits can give.</summary>
    /// <param name="name">Name of the matrix, for the message.</param>
    /// <exception cref="CodecDefectException"><see cref="BeatsShannonGuard"/>.</exception>
    public void RequirePlausible(string name)
    {
        if (BeatsShannonGuard) throw new CodecDefectException(name, RelativeError, BitsPerWeight, GuardFloor);
    }

    internal static CompressionReport Create(RbeMatrix matrix, ReadOnlySpan<float> original, ParallelOptions parallel)
    {
        ArgumentNullException.ThrowIfNull(matrix);
        long weights = (long)matrix.Rows * matrix.Columns;
        if (original.Length != weights)
        {
            throw new ShapeMismatchException("original", $"{matrix.Rows} x {matrix.Columns} = {weights} values", $"{original.Length}",
                "Pass the matrix that was compressed.");
        }

        (double[] errors, double[] norms) = matrix.MeasureTiles(original, parallel);
        return Create(matrix, original, CountBits(matrix), errors, norms);
    }

    /// <summary>A report of given bits and squared errors.</summary>
    internal static CompressionReport Create(RbeMatrix matrix, ReadOnlySpan<float> original, long bits, double[] errors, double[] norms)
    {
        long weights = (long)matrix.Rows * matrix.Columns;
        double error = Ratio(errors.Sum(), norms.Sum()), rate = (double)bits / weights, shannon = Math.Pow(2, -rate);
        return new CompressionReport
        {
            Weights = weights,
            Bits = bits,
            RelativeError = error,
            TileErrors = [.. errors.Zip(norms, Ratio)],
            GuardFloor = error < shannon ? ShannonGuard.Floor(matrix, original, rate) : shannon,
        };
    }

    private static double Ratio(double difference, double norm) => norm == 0 ? Math.Sqrt(difference) : Math.Sqrt(difference / norm);

    /// <summary>Stored bits of a matrix, counted as said above.</summary>
    internal static long CountBits(RbeMatrix matrix)
    {
        if (matrix.Format.BitsOf(matrix.TileCount) is { } counted) return counted;
        long bits = 32 * matrix.TrainableCount;
        if (matrix.Base is { } frozen) bits += frozen.StoredBits;
        return matrix.Support is { } support ? bits + PlaceBits(matrix, support) : bits;
    }

    private static long PlaceBits(RbeMatrix matrix, CoefficientSupport support)
    {
        int area = matrix.Tile * matrix.Tile;
        if (support.CoefficientsPerTile == area) return 0;
        if (IsByRule(matrix, support)) return SeedBits;
        return matrix.TileCount * Math.Min((long)support.RunsPerTile * int.Log2(area), area / support.RunLength);
    }

    private static bool IsByRule(RbeMatrix matrix, CoefficientSupport support)
    {
        if (matrix.Format.Places is not { Support.Kind: not SupportKind.TopK } format) return false;
        RbeOptions options = new() { Tile = matrix.Tile, Transform = matrix.Transform, Format = format, Alphas = matrix.HasAlphas };
        return SupportSelector.FromRule(options, matrix.TileCount) is { } byRule && byRule.RunLength == support.RunLength
            && byRule.Starts.AsSpan().SequenceEqual(support.Starts.AsSpan());
    }
}
