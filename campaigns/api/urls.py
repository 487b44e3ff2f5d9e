"""REST endpoints, under /api/v1/."""

from django.urls import path

from campaigns.api import books, campaigns, pacing, parts, templates, trials

urlpatterns = [
    path("campaigns", campaigns.CampaignList.as_view()),
    path("campaigns/<str:campaign>", campaigns.CampaignItem.as_view()),
    path("campaigns/<str:campaign>/copy", campaigns.CampaignCopy.as_view()),
    path("campaigns/<str:campaign>/preflight", campaigns.CampaignPreflight.as_view()),
    path("campaigns/<str:campaign>/launch", campaigns.CampaignLaunch.as_view()),
    path("campaigns/<str:campaign>/schedule", campaigns.CampaignSchedule.as_view()),
    path("campaigns/<str:campaign>/unschedule", campaigns.CampaignUnschedule.as_view()),
    path("campaigns/<str:campaign>/simulate", pacing.CampaignSimulate.as_view()),
    path("campaigns/<str:campaign>/pause", campaigns.CampaignPause.as_view()),
    path("campaigns/<str:campaign>/resume", campaigns.CampaignResume.as_view()),
    path("campaigns/<str:campaign>/cancel", campaigns.CampaignCancel.as_view()),
    path("campaigns/<str:campaign>/books", campaigns.CampaignBooks.as_view()),
    path("campaigns/<str:campaign>/books.csv", campaigns.CampaignBooksCsv.as_view()),
    path("campaigns/<str:campaign>/statement", books.CampaignStatement.as_view()),
    path("campaigns/<str:campaign>/waterfall", books.CampaignWaterfall.as_view()),
    path("campaigns/<str:campaign>/reports", books.CampaignReports.as_view()),
    path("campaigns/<str:campaign>/recipients", campaigns.CampaignRecipients.as_view()),
    path("campaigns/<str:campaign>/recipients.csv", campaigns.CampaignRecipientsCsv.as_view()),
    path("template-parts", parts.PartList.as_view()),
    path("template-parts/<str:part>", parts.PartItem.as_view()),
    path("template-parts/<str:part>/versions", parts.PartVersions.as_view()),
    path("template-parts/<str:part>/uses", parts.PartUses.as_view()),
    path("template-parts/<str:part>/check", parts.PartCheck.as_view()),
    path("templates", templates.TemplateList.as_view()),
    path("templates/<str:template>", templates.TemplateItem.as_view()),
    path("templates/<str:template>/versions", templates.TemplateVersions.as_view()),
    path("templates/<str:template>/test", trials.TemplateTest.as_view()),
    path("seed-lists", trials.SeedLists.as_view()),
    path("seed-lists/<str:seed_list>", trials.SeedListItem.as_view()),
    path("templates/<str:template>/preview", templates.TemplatePreview.as_view()),
]
