using System.IO.Hashing;
using System.Runtime.InteropServices;
using RbeMl.Codec;
using RbeMl.Numerics;

namespace RbeMl.Tests.Codec;

public class TrellisCodebookTests
{
    // Quantiles from published tables, to as many digits as a double holds.
    [Theory]
    [InlineData(0.5, 0)]
    [InlineData(0.75, 0.67448975019608171)]
    [InlineData(0.9, 1.2815515655446004)]
    [InlineData(0.95, 1.6448536269514722)]
    [InlineData(0.975, 1.9599639845400545)]
    [InlineData(0.99, 2.3263478740408408)]
    [InlineData(0.999, 3.0902323061678132)]
    [InlineData(1e-5, -4.2648907939228247)]
    public void QuantilesAreExact(double p, double x) => Assert.Equal(x, InverseNormal.Quantile(p), 2e-15 * Math.Max(1, Math.Abs(x)));

    // The density is known without any table: the slope of the quantile at p is 1 / density(quantile).
    [Fact]
    public void SlopesAreTheDensitys()
    {
        const double h = 1e-6;
        for (double p = 0.01; p < 0.995; p += 0.007)
        {
            double x = InverseNormal.Quantile(p), slope = (InverseNormal.Quantile(p + h) - InverseNormal.Quantile(p - h)) / (2 * h);
            // h² times the third derivative, which grows like the slope's cube
            Assert.Equal(Math.Sqrt(2 * Math.PI) * Math.Exp(x * x / 2), slope, 1e-7 * slope * slope);
        }
    }

    [Theory]
    [InlineData(0)]
    [InlineData(1)]
    [InlineData(-0.1)]
    [InlineData(1e-12)]
    [InlineData(double.NaN)]
    public void ProbabilitiesOutOfRangeAreRefused(double p) => Assert.Throws<ArgumentOutOfRangeException>(() => InverseNormal.Quantile(p));

    // Files decode alike everywhere only if no bit of the tables ever changes.
    [Theory]
    [InlineData(2, 3909316780643598550UL)]
    [InlineData(3, 850694727627194846UL)]
    [InlineData(4, 7773361146456242605UL)]
    [InlineData(5, 16519052331383865298UL)]
    [InlineData(6, 3690058305680774175UL)]
    public void TablesAreGolden(int bits, ulong hash)
    {
        float[] table = TrellisTiles.TableFor(bits).ToArray();
        Assert.Equal(hash, XxHash3.HashToUInt64(MemoryMarshal.AsBytes(table.AsSpan())));
        Assert.Equal(-3.6683293f, table[0]);
    }

    [Theory]
    [InlineData(2, 1067)]
    [InlineData(3, 3547)]
    [InlineData(4, 1203)]
    [InlineData(5, 131)]
    [InlineData(6, 3899)]
    public void TablesAreShuffledQuantiles(int bits, int multiplier)
    {
        float[] table = TrellisTiles.TableFor(bits).ToArray(), sorted = [.. table.Order()];
        Assert.Equal(4096, table.Length);
        for (int s = 0; s < 4096; s++)
        {
            Assert.Equal(sorted[multiplier * s % 4096], table[s]);
            Assert.Equal(-sorted[4095 - s], sorted[s], 1e-6f);
            if (s > 0) Assert.True(sorted[s] > sorted[s - 1]);
        }

        Assert.Equal(1, table.Average(v => (double)v * v), 2e-3); // the tails beyond 3.7 are missing
        Assert.Throws<InvalidSettingException>(() => TrellisTiles.TableFor(7).ToArray());
    }
}
