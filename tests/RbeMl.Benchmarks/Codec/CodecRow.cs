namespace RbeMl.Benchmarks.Codec;

/// <summary>A line of the table; errors are relative, of all values at a time.</summary>
/// <param name="Name">Case and format.</param>
/// <param name="Setting">What was chosen, or what the case is.</param>
/// <param name="BitsPerWeight">Stored bits of the matrices over their weights, everything of them counted; vectors, which stay fp32, are not.</param>
/// <param name="SavedFraction">1 − that / 32.</param>
/// <param name="WeightError">‖W − Ŵ‖ / ‖W‖ over the matrices.</param>
/// <param name="BlockError">‖y − y0‖ / ‖y0‖.</param>
/// <param name="BranchError">‖y − y0‖ / ‖y0 − x‖: without the residual stream, which hides errors.</param>
/// <param name="Seconds">Time to compress, the calibration's sums not counted.</param>
internal sealed record CodecRow(string Name, string Setting, double BitsPerWeight, double SavedFraction, double WeightError, double BlockError,
    double BranchError, double Seconds)
{
    /// <summary>The block error on activations of which the calibration saw a part, or null.</summary>
    public double? BlockErrorEverywhere { get; init; }

    /// <summary>The branch error there, or null.</summary>
    public double? BranchErrorEverywhere { get; init; }
}
