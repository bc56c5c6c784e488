using System.Globalization;
using System.Text.Encodings.Web;
using System.Text.Json;
using System.Text.Json.Serialization;
using RbeMl.Storage;

namespace RbeMl.Benchmarks.Codec;

/// <summary>Prints rows as they come, then which targets they reach, and all of them as JSON.</summary>
internal sealed class CodecTable
{
    private static readonly JsonSerializerOptions s_json = new()
    {
        PropertyNamingPolicy = JsonNamingPolicy.CamelCase,
        WriteIndented = true,
        Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping,
        DefaultIgnoreCondition = JsonIgnoreCondition.WhenWritingNull,
        NumberHandling = JsonNumberHandling.AllowNamedFloatingPointLiterals,
    };

    private readonly TextWriter _writer;
    private readonly List<CodecRow> _rows = [];
    private readonly List<string> _verdicts = [];

    public CodecTable(TextWriter writer)
    {
        _writer = writer;
        Say("Bits of a weight count everything stored of the matrices, fp32 vectors aside. weight: |W - W'| / |W|; block: |y - y0| / "
            + "|y0|; branch: |y - y0| / |y0 - x|.");
        Say("No error may be below what the bits can give (Shannon): a row that is ends the run.");
    }

    public void Say(string line) => _writer.WriteLine(line);

    /// <summary>Starts a case.</summary>
    public void Start(CodecCase of, double? damping)
    {
        Say("");
        Say($"{of.Name}: {of.Setting}");
        Line($"damping of calibrated rounding: {(damping is { } d ? $"{d}, found best beside the estimate on the tokens that check the "
            + $"choice" : "the estimate")}");
        Line($"{"",-40} {"bits",6} {"saved %",7} {"weight",9} {"block",9} {"branch",9} {"seconds",8}");
    }

    public void Add(CodecCase of, CodecRow row)
    {
        _rows.Add(row with { Name = $"{of.Name}/{row.Name}", Setting = row.Setting.Length == 0 ? of.Setting : $"{row.Setting}; {of.Setting}" });
        string everywhere = row.BlockErrorEverywhere is { } block
            ? string.Create(CultureInfo.InvariantCulture, $"  ({block:E2}, {row.BranchErrorEverywhere:E2})") : "";
        string setting = row.Setting.Length == 0 ? "" : $"  {row.Setting}";
        Say(string.Create(CultureInfo.InvariantCulture,
            $"{row.Name,-40} {row.BitsPerWeight,6:F3} {100 * row.SavedFraction,7:F2} {row.WeightError,9:E2} {row.BlockError,9:E2} "
            + $"{row.BranchError,9:E2} {row.Seconds,8:F1}{everywhere}{setting}"));
    }

    /// <summary>Judges a case's targets by its rows.</summary>
    public void Finish(CodecCase of)
    {
        CodecRow[] rows = [.. _rows.Where(r => r.Name.StartsWith($"{of.Name}/", StringComparison.Ordinal))];
        foreach (CodecTarget target in of.Targets)
        {
            CodecRow? best = rows.Where(r => r.SavedFraction >= target.SavedShare).MinBy(r => r.BlockError);
            CodecRow? smallest = rows.Where(r => r.BlockError <= target.Error).MaxBy(r => r.SavedFraction);
            string verdict = best is null ? "no row saves that much"
                : string.Create(CultureInfo.InvariantCulture,
                    $"{(best.BlockError <= target.Error ? "reached" : "NOT reached")}, {best.BlockError:E2} at {100 * best.SavedFraction:F2} % by {best.Name}");
            string most = smallest is null ? ""
                : string.Create(CultureInfo.InvariantCulture, $"; most saved within the error {100 * smallest.SavedFraction:F2} % by {smallest.Name}");
            _verdicts.Add(string.Create(CultureInfo.InvariantCulture,
                $"{of.Name}: block error of {target.Error:G2} at {100 * target.SavedShare:F0} % saved: {verdict}{most}"));
        }
    }

    /// <summary>Prints the verdicts.</summary>
    public void Conclude()
    {
        Say("");
        _verdicts.ForEach(Say);
    }

    /// <summary>Writes the rows to a file, or to standard output.</summary>
    public void WriteJson(string? file)
    {
        string text = JsonSerializer.Serialize(_rows, s_json);
        if (file is null) Console.Out.WriteLine(text);
        else AtomicFile.WriteText(file, text + Environment.NewLine);
    }

    private void Line(FormattableString line) => Say(line.ToString(CultureInfo.InvariantCulture));
}
