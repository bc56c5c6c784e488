using RbeMl.Numerics;
using Xunit.Abstractions;

namespace RbeMl.Tests.Kernels;

public class VectorWidthTests(ITestOutputHelper output)
{
    /// <summary>A switch that a test leg uses must really turn vectors off, or that leg would test nothing new.</summary>
    [Theory]
    [InlineData("DOTNET_EnableAVX512", 8)]
    [InlineData("DOTNET_EnableAVX", 4)]
    public void Switching_vectors_off_is_effective(string name, int most)
    {
        output.WriteLine($"lanes: {Wide.Lanes}");
        if (Environment.GetEnvironmentVariable(name) == "0") Assert.InRange(Wide.Lanes, 1, most);
    }
}
