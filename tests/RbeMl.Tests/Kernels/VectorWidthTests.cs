using System.Runtime.Intrinsics;
using Xunit.Abstractions;

namespace RbeMl.Tests.Kernels;

public class VectorWidthTests(ITestOutputHelper output)
{
    /// <summary>The switch that a test leg uses must really turn 512-bit vectors off, or that leg would test nothing new.</summary>
    [Fact]
    public void Switching_AVX512_off_is_effective()
    {
        bool off = Environment.GetEnvironmentVariable("DOTNET_EnableAVX512") == "0";
        output.WriteLine($"512-bit vectors: {Vector512.IsHardwareAccelerated}, 256-bit vectors: {Vector256.IsHardwareAccelerated}");
        Assert.False(off && Vector512.IsHardwareAccelerated);
    }
}
