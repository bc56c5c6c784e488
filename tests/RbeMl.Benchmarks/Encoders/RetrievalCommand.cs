using System.CommandLine;
using System.Runtime.InteropServices;
using System.Text.RegularExpressions;
using System.Xml.Linq;
using RbeMl.Benchmarks.FewLabels;
using RbeMl.Files;
using RbeMl.Models;

namespace RbeMl.Benchmarks.Encoders;

/// <summary>The verb that looks for members of .NET by their summaries: how many are found by a model of each size.</summary>
internal static partial class RetrievalCommand
{
    private const int Shortest = 40, Seed = 1;

    public static Command Create()
    {
        Option<int> queries = new("--queries") { Description = "Summaries to look for.", DefaultValueFactory = _ => 500 };
        Option<int> documents = new("--documents")
        {
            Description = "Members to find them among, those of the summaries included.",
            DefaultValueFactory = _ => 5000,
        };
        Option<string> models = new("--models") { Description = "Of MiniLM and ArcticXs, with commas.", DefaultValueFactory = _ => "MiniLM" };
        Option<string> formats = new("--formats")
        {
            Description = "Bits of the weights: of dense, 8, 5, 4, and 5 and 4 plain, without calibration, with commas.",
            DefaultValueFactory = _ => "dense,8,5,4,4 plain",
        };
        Option<string?> work = new("--work") { Description = "Folder that keeps the compressed models; else they are made anew." };
        Command command = new("retrieval",
            "Embeds names of members of the SDK's documentation, and for summaries looks for the name that they stand at: recall at 1 and 10.")
        { queries, documents, models, formats, work };
        command.SetAction(parsed =>
        {
            string folder = parsed.GetValue(work) is { } kept ? Directory.CreateDirectory(kept).FullName
                : Directory.CreateTempSubdirectory("rbeml-retrieval-").FullName;
            try
            {
                (string Name, string Summary)[] members = Members();
                new Random(Seed).Shuffle(members);
                members = members[..Math.Min(members.Length, parsed.GetValue(documents))];
                int asked = Math.Min(members.Length, parsed.GetValue(queries));
                Console.WriteLine($"{asked} summaries, {members.Length} members");
                Console.WriteLine("| model | file MiB | recall at 1 | recall at 10 |");
                Console.WriteLine("|---|---|---|---|");
                foreach (string model in parsed.GetValue(models)!.Split(','))
                {
                    foreach (string format in parsed.GetValue(formats)!.Split(',', StringSplitOptions.TrimEntries))
                    {
                        Measure(folder, model, format, members, asked);
                    }
                }

                return 0;
            }
            catch (Exception error) when (error is InvalidDataException or IOException or RbeException)
            {
                Console.Error.WriteLine(error.Message);
                return 1;
            }
            finally
            {
                if (parsed.GetValue(work) is null) Directory.Delete(folder, recursive: true);
            }
        });
        return command;
    }

    private static void Measure(string folder, string model, string format, (string Name, string Summary)[] members, int asked)
    {
        string path = EncoderFiles.Make(folder, model, format, delta: false);
        using SentenceEncoder encoder = ModelSource.LoadEncoder(path);
        float[][] names = encoder.Embed([.. members.Select(m => m.Name)]), summaries = encoder.Embed([.. members.Take(asked).Select(m => m.Summary)]);
        int[] ranks = [.. summaries.Select((summary, own) => Rank(summary, names, own))];
        Console.WriteLine(FormattableString.Invariant(
            $"| {model}, {format} | {new FileInfo(path).Length / 1048576.0:F1} | {Share(1):F1} % | {Share(10):F1} % |"));

        double Share(int most) => 100.0 * ranks.Count(rank => rank <= most) / asked;
    }

    // 1 for the nearest; of equals the right one comes last.
    private static int Rank(float[] query, float[][] names, int own)
    {
        double right = Dot(names[own]);
        return names.Count(name => Dot(name) >= right);

        double Dot(float[] name) => System.Numerics.Tensors.TensorPrimitives.Dot<float>(query, name);
    }

    // Every name once, as words ("DateTime.AddDays" is "Date Time Add Days"), with the summary that stands there alone.
    private static (string Name, string Summary)[] Members()
    {
        string packs = Path.GetFullPath(Path.Combine(RuntimeEnvironment.GetRuntimeDirectory(), "..", "..", "..", "packs", "Microsoft.NETCore.App.Ref"));
        string folder = Directory.Exists(packs) ? Directory.GetDirectories(packs).Order(StringComparer.Ordinal).Last()
            : throw new InvalidDataException($"{packs} is not there. Install the .NET SDK.");
        return [.. Directory.GetFiles(folder, "*.xml", SearchOption.AllDirectories).Order(StringComparer.Ordinal)
            .SelectMany(file => XDocument.Load(file).Descendants("member"))
            .Select(member => (Name: Words((string?)member.Attribute("name") ?? ""),
                Summary: Space().Replace(member.Element("summary")?.Value ?? "", " ").Trim()))
            .Where(m => m.Name.Length > 0 && m.Summary.Length >= Shortest)
            .GroupBy(m => m.Summary).Where(g => g.Count() == 1).Select(g => g.Single()).DistinctBy(m => m.Name)];
    }

    // Type and member; constructors have no name of their own.
    private static string Words(string name)
    {
        string[] parts = name[Math.Min(2, name.Length)..].Split('(')[0].Split('.');
        if (parts.Length < 2 || parts[^1].StartsWith('#')) return "";
        string[] last = name.StartsWith("T:", StringComparison.Ordinal) ? [parts[^1]] : [parts[^2], parts[^1]];
        return Capital().Replace(string.Join(' ', last.Select(part => part.Split('`')[0])), " ").Trim();
    }

    [GeneratedRegex(@"\s+")]
    private static partial Regex Space();

    [GeneratedRegex("(?<=[a-z0-9])(?=[A-Z])")]
    private static partial Regex Capital();
}
