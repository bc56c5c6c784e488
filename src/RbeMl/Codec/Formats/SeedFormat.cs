using System.Text.Json.Nodes;
using RbeMl.Storage;

namespace RbeMl.Codec;

/// <summary>The literal record: 8 fp32 alphas and the K largest coefficients as (u16 row, u16 column, f32 value). The alphas
/// are fitted first, the coefficients are the largest of what they leave; both are always there, whatever <see cref="RbeOptions.Alphas"/> says.</summary>
/// <param name="Coefficients">K.</param>
public sealed record SeedFormat(int Coefficients) : RbeFormat
{
    /// <inheritdoc/>
    internal override string Name => "seed";

    /// <inheritdoc/>
    internal override string Use => "the literal record";

    /// <inheritdoc/>
    internal override FormatPlan Plan(RbeOptions options)
    {
        FormatPlan.CheckCount(Coefficients, options.Tile);
        return new FormatPlan(true, null, Coefficients, 1, SupportRule.TopK, false, true);
    }

    /// <summary>32 + 8 K bytes a tile.</summary>
    internal override long? BitsOf(int tileCount) => tileCount * (8L * (32 + 8L * Coefficients));

    private protected override RbeFormat ReadOptions(JsonFields fields) => Seed(fields.Whole("coefficients", 1, 1 << 14));

    private protected override void DescribeOptions(JsonObject entry) => entry["coefficients"] = Coefficients;
}
