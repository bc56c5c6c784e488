using System.Text.Json.Nodes;
using RbeMl.Storage;

namespace RbeMl.Codec;

/// <summary>K of B² coefficients at chosen places.</summary>
/// <param name="Coefficients">K.</param>
/// <param name="Support">The places.</param>
public sealed record SparseFormat(int Coefficients, SupportRule Support) : RbeFormat
{
    /// <inheritdoc/>
    internal override string Name => "sparse";

    /// <inheritdoc/>
    internal override string Use => "for training from scratch";

    /// <inheritdoc/>
    internal override SparseFormat Places => this;

    /// <inheritdoc/>
    internal override FormatPlan Plan(RbeOptions options) => FormatPlan.OfPlaces(options, this);

    /// <summary>The largest 1/256 .. 1/8 of the coefficients, with alphas.</summary>
    internal override IEnumerable<RbeOptions> Candidates(int tile)
    {
        for (int share = 256; share >= 8; share /= 2) yield return new RbeOptions { Format = Sparse(tile * tile / share, SupportRule.TopK) };
    }

    /// <summary>The sparse format, of its own or a delta, that a file describes.</summary>
    internal static SparseFormat ReadPlaces(JsonFields fields) => Sparse(
        fields.Whole("coefficients", 1, 1 << 14),
        new SupportRule(fields.Name<SupportKind>("support"), fields.Whole("runLength", 1, 16), fields.Whole("seed", int.MinValue, int.MaxValue)));

    private protected override RbeFormat ReadOptions(JsonFields fields) => ReadPlaces(fields);

    private protected override void DescribeOptions(JsonObject entry)
    {
        entry["coefficients"] = Coefficients;
        entry["support"] = Support.Kind.ToString();
        entry["runLength"] = Support.RunLength;
        entry["seed"] = Support.Seed;
    }
}
