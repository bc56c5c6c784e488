using System.Globalization;
using RbeMl.Oracle.Tests.Native;
using TorchSharp;
using Xunit.Abstractions;

namespace RbeMl.Oracle.Tests.Support;

/// <summary>Base of the tests against torch: one thread, a fixed seed, tensors freed at the end, measured errors printed.</summary>
public abstract class OracleTest : IDisposable
{
    private readonly ITestOutputHelper _output;
    private readonly IDisposable _tensors;

    private protected OracleTest(ITestOutputHelper output)
    {
        HeldFinalizers.Hold();
        _output = output;
        torch.set_num_threads(1);
        torch.random.manual_seed(1);
        _tensors = torch.NewDisposeScope();
    }

    /// <summary>Frees the test's tensors.</summary>
    public void Dispose()
    {
        _tensors.Dispose();
        GC.SuppressFinalize(this);
    }

    /// <summary>Prints a line.</summary>
    private protected void Print(FormattableString line) => _output.WriteLine(line.ToString(CultureInfo.InvariantCulture));

    /// <summary>Prints a measured error and requires it to be below its tolerance (NaN is not).</summary>
    private protected void Check(string what, double error, double tolerance)
    {
        Print($"{what}: {error:E2} (tolerance {tolerance:E1})");
        Assert.True(error < tolerance, string.Create(CultureInfo.InvariantCulture, $"{what}: error {error:E3}, tolerance {tolerance:E1}"));
    }
}
