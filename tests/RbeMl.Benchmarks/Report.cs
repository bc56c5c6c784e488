using System.Globalization;
using System.Runtime.InteropServices;
using System.Runtime.Intrinsics;
using System.Text.Encodings.Web;
using System.Text.Json;
using TorchSharp;

namespace RbeMl.Benchmarks;

/// <summary>Prints results as they come, and all of them as JSON.</summary>
internal sealed class Report
{
    private static readonly JsonSerializerOptions s_json = new() { PropertyNamingPolicy = JsonNamingPolicy.CamelCase, WriteIndented = true, Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping };
    private readonly TextWriter _writer;
    private readonly List<Timing> _timings = [];

    public Report(int threads, TextWriter writer)
    {
        _writer = writer;
        Line($"{Processor()}, {Environment.ProcessorCount} processors, vectors of {(Vector512.IsHardwareAccelerated ? 512 : Vector256.IsHardwareAccelerated ? 256 : 128)} bits");
        Line($"libtorch {torch.__version__} dense fp32 against RbeMl fp32, {threads} thread{(threads == 1 ? "" : "s")} each; medians, ratio = median of paired ratios");
        Line($"{"name",-44} {"threads",7} {"torch ms",10} {"rbe ms",10} {"ratio",7}   setting");
    }

    public void Add(Timing timing)
    {
        _timings.Add(timing);
        Line($"{timing.Name,-44} {timing.Threads,7} {timing.TorchMs,10:F3} {timing.RbeMs,10:F3} {timing.Ratio,7:F2}   {timing.Setting}");
    }

    /// <summary>Writes the results to a file, or to standard output.</summary>
    public void WriteJson(string? file)
    {
        string text = JsonSerializer.Serialize(_timings, s_json);
        if (file is null) Console.Out.WriteLine(text);
        else File.WriteAllText(file, text + Environment.NewLine);
    }

    private static string Processor()
    {
        const string Info = "/proc/cpuinfo";
        string? line = File.Exists(Info) ? File.ReadLines(Info).FirstOrDefault(l => l.StartsWith("model name", StringComparison.Ordinal)) : null;
        return line?[(line.IndexOf(':', StringComparison.Ordinal) + 1)..].Trim() ?? Environment.GetEnvironmentVariable("PROCESSOR_IDENTIFIER") ?? RuntimeInformation.ProcessArchitecture.ToString();
    }

    private void Line(FormattableString line) => _writer.WriteLine(line.ToString(CultureInfo.InvariantCulture));
}
