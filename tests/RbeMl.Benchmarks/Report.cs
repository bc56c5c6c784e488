using System.Globalization;
using System.Text.Encodings.Web;
using System.Text.Json;
using System.Text.Json.Serialization;

namespace RbeMl.Benchmarks;

/// <summary>Prints results as they come, and all of them as JSON.</summary>
internal sealed class Report
{
    private static readonly JsonSerializerOptions s_json = new()
    {
        PropertyNamingPolicy = JsonNamingPolicy.CamelCase,
        DefaultIgnoreCondition = JsonIgnoreCondition.WhenWritingNull,
        WriteIndented = true,
        Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping,
    };

    private readonly TextWriter _writer;
    private readonly List<object> _rows = [];

    public Report(int threads, TextWriter writer, bool fusion)
    {
        _writer = writer;
        MachineRecord machine = MachineRecord.Here;
        Line($"{machine.Processor}, {machine.Processors} processors, vectors of {machine.VectorBits} bits, {machine.Runtime}");
        _writer.WriteLine(string.Create(CultureInfo.InvariantCulture,
            $"libtorch {machine.Libtorch} dense fp32 (bf16 where a name says so) against RbeMl fp32, {threads} thread{(threads == 1 ? "" : "s")} "
            + $"each; medians, ratio = median of paired ratios"));
        if (fusion) Heading("unfused ms", "fused ms");
        else Heading("torch ms", "rbe ms");
    }

    /// <summary>Adds a comparison with torch.</summary>
    public void Add(Timing timing)
    {
        _rows.Add(timing with { Machine = MachineRecord.Here });
        Row(timing);
    }

    /// <summary>Adds a comparison of the library with itself: the sides are off and on.</summary>
    public void AddFusion(Timing timing)
    {
        _rows.Add(new FusionRow(timing.Name, timing.Setting, timing.Threads, timing.TorchMs, timing.RbeMs, timing.Ratio, MachineRecord.Here));
        Row(timing);
    }

    /// <summary>Prints a line that is no result of its own.</summary>
    public void Say(string line) => _writer.WriteLine(line);

    /// <summary>Writes the results to a file, or to standard output.</summary>
    public void WriteJson(string? file)
    {
        string text = JsonSerializer.Serialize(_rows, s_json);
        if (file is null) Console.Out.WriteLine(text);
        else File.WriteAllText(file, text + Environment.NewLine);
    }

    private void Heading(string first, string second) => Line($"{"name",-44} {"threads",7} {first,10} {second,10} {"ratio",7}   setting");

    private void Row(Timing timing) =>
        Line($"{timing.Name,-44} {timing.Threads,7} {timing.TorchMs,10:F3} {timing.RbeMs,10:F3} {timing.Ratio,7:F3}   {timing.Setting}");

    private void Line(FormattableString line) => _writer.WriteLine(line.ToString(CultureInfo.InvariantCulture));

    private sealed record FusionRow(string Name, string Setting, int Threads, double UnfusedMs, double FusedMs, double Ratio, MachineRecord Machine);
}
